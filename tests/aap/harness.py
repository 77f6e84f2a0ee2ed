"""An agent's harness, to be killed: it pauses runs, is woken by the package's Receiver, and runs a tool that cannot be
taken back: a line in a file. `python harness.py FOLDER`; the folder holds settings.json and runs/*.json.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from agentapprovalprotocol import AsyncClient, AsyncGate, Call, Deny, Pending, Receiver

SWEEP = 20.0  # seconds
PATIENCE = 600.0  # seconds for Warden to be back: what was begun is repeated under its key until then
FOLDER = Path(sys.argv[1])


def note(run: str) -> None:
    """The tool."""
    with (FOLDER / "ran").open("a") as out:
        out.write(f"{run}\n")
        out.flush()
        os.fsync(out.fileno())


async def main() -> None:
    said = json.loads((FOLDER / "settings.json").read_text())
    gates: list[AsyncGate] = []
    settled: set[str] = set()

    def client() -> AsyncClient:
        return AsyncClient(said["base"], (FOLDER / "token").read_text(), retry_budget=PATIENCE)

    def gate() -> AsyncGate:
        if not gates:
            gates.append(AsyncGate(client(), mode="async", timeout="1h"))
        return gates[0]

    async def go(run: str) -> None:
        arguments = json.loads((FOLDER / "runs" / f"{run}.json").read_text())
        call = Call(run, "stripe.refund", arguments, resume={"framework": "harness", "run": run})
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            async with gate().guard(call) as verdict:
                if verdict:
                    note(run)
            if isinstance(verdict, Pending):
                return
            if not isinstance(verdict, Deny) or verdict.status != "error":
                settled.add(run)
                return
            await asyncio.sleep(0.3)  # nothing was decided, and nothing ran

    async def resume(handle: Mapping[str, Any], _: Any) -> None:
        await go(handle["run"])

    receiver = Receiver(
        resumers={"harness": resume}, secret=said["secret"], registration_id=said["registration"], client=client
    )
    config = uvicorn.Config(receiver.asgi(), port=said["port"], log_level="error", lifespan="off", ws="none")
    server = asyncio.create_task(uvicorn.Server(config).serve())
    seen: set[str] = set()
    tasks: set[asyncio.Task[None]] = set()
    swept = time.monotonic()
    while not server.done():
        if time.monotonic() - swept > SWEEP:  # what a notification that was lost on this side would have woken
            swept, seen = time.monotonic(), seen & settled
        for file in sorted((FOLDER / "runs").glob("*.json")):  # what is new; after a crash, all of it
            if file.stem not in seen:
                seen.add(file.stem)
                tasks.add(asyncio.create_task(go(file.stem)))
        await asyncio.sleep(0.05)


asyncio.run(main())
