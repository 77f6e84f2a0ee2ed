"""Agents that wait: what one costs, and how soon a decision wakes it."""

import asyncio
import time
from typing import Any

import httpx

from approvals.models import Approval
from approvals.services import review
from audit.ids import read_id


def resident(pid: int) -> int:
    """Kilobytes of the process and its children."""
    import psutil

    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) // 1024


def measure(results: dict[str, Any], server: Any, made: Any, waiters: int) -> None:
    """`waiters` long polls at once on one process, then decisions one after the other."""
    organization, _, key, person = made
    asyncio.run(_measure(results, server, key, organization, person, waiters))


async def _ask(client: httpx.AsyncClient, number: int) -> str:
    body = {
        "agent_id": "support-bot",
        "action": "stripe.refund",
        "context": {"amount": 500, "waiter": f"{time.time_ns()}-{number}"},
    }
    response = await client.post("/sdk/check", json=body)
    return str(response.raise_for_status().json()["approval_id"])


async def _wait(client: httpx.AsyncClient, approval_id: str, woken: dict[str, float]) -> None:
    while True:
        answer = (await client.get(f"/sdk/approvals/{approval_id}?wait=30s")).raise_for_status().json()
        if answer["status"] != "pending":
            woken[approval_id] = time.perf_counter()
            return


def _decide(approval_id: str, organization: Any, person: Any) -> float:
    approval = Approval.objects.get(id=read_id("apr", approval_id))
    review(
        approval_id=approval.id,
        by=person,
        organization=organization,
        verdict="approve",
        reason="",
        digest=approval.digest,
        via="browser",
    )
    return time.perf_counter()


async def _measure(
    results: dict[str, Any], server: Any, key: str, organization: Any, person: Any, waiters: int
) -> None:
    limits = httpx.Limits(max_connections=waiters + 10, max_keepalive_connections=waiters + 10)
    async with httpx.AsyncClient(base_url=server.url, headers={"X-API-Key": key}, timeout=60, limits=limits) as client:
        ids = [await _ask(client, number) for number in range(waiters)]
        before = resident(server.process.pid)
        woken: dict[str, float] = {}
        tasks = [asyncio.create_task(_wait(client, approval_id, woken)) for approval_id in ids]
        await asyncio.sleep(5)
        each = (resident(server.process.pid) - before) / waiters
        decided: dict[str, float] = {}
        for approval_id in ids[:300]:
            decided[approval_id] = await asyncio.to_thread(_decide, approval_id, organization, person)
        await asyncio.wait_for(asyncio.gather(*tasks[:300]), 20)
        for task in tasks[300:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    times = sorted(1000 * max(woken[approval_id] - decided[approval_id], 0) for approval_id in decided)
    results["waiting"] = {
        "waiters": waiters,
        "kilobytes_each": each,
        "wake_p50_ms": times[len(times) // 2],
        "wake_p99_ms": times[len(times) * 99 // 100],
    }
    print(
        f"{waiters} waiting: {each:.0f} KB each, woken after {times[len(times) // 2]:.1f} ms (p50),"
        f" {results['waiting']['wake_p99_ms']:.1f} ms (p99)"
    )
