"""Which path below /aap is whose."""

import asyncio
import re
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from django.conf import settings

from agents.load import KeyFacts
from approvals import states
from approvals.calls.intake import Call
from gateway import answers
from gateway.aap import calls, errors, instances
from gateway.aap.answers import shown
from gateway.aap.bodies import OutcomeBody
from gateway.answers import Answer
from gateway.jobs import closed
from gateway.parse import Malformed, read
from gateway.routes import MAX_WAIT, Handler, idempotency_key, trace_id

if TYPE_CHECKING:
    from gateway.app import Request

DURATION = re.compile(r"[1-9][0-9]{0,11}[smh]", re.ASCII)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


async def create(request: "Request", _: uuid.UUID | None) -> Answer:
    """POST /aap/v1/requests"""
    if request.key.agent_id is None:
        return errors.NO_AGENT
    key = idempotency_key(request)
    if key is None:
        return errors.NEEDS_KEY
    request.check = calls.Ask(request.key, request.key_hash, request.body, key)
    request.check.trace_id = trace_id(request)
    return await request.gateway.lanes.run(request.check)


async def fetch(request: "Request", call_id: uuid.UUID | None) -> Answer:
    """GET /aap/v1/requests/{id}?wait=30s"""
    seconds = _wait(request.query)
    if call_id is None:
        return errors.NO_REQUEST
    gateway = request.gateway
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    if seconds and gateway.waiters.full(request.key.id, settings.GATEWAY_MAX_WAITERS):
        return answers.TOO_MANY_WAITING
    with gateway.waiters.watch(call_id, request.key.id) as woken:
        while True:
            woken.clear()  # before looking: what comes while we look wakes us again
            seen = await gateway.calls.read(call_id)
            key = seen.era.cached_key(request.key_hash) or await seen.era.key(request.key_hash)
            if key is None:
                return answers.UNAUTHORIZED
            if refused := closed(key, seen.now, calls.Ask.scope_needed):
                return refused
            call = seen.call
            if call is None or not _is_of(call, key):
                return errors.NO_REQUEST
            left = until - loop.time()
            if call.state(seen.now) != states.PENDING or left <= 0:
                return shown(call, seen.now)
            deadline = call.deadline or call.deadline_at
            left = min(left, (deadline - seen.now).total_seconds() + 0.01)
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                continue


def _is_of(call: Call, key: KeyFacts) -> bool:
    return call.key_id == key.id and call.organization_id == key.organization_id


def _wait(query: bytes) -> float:
    """`wait=30s` in seconds, at most MAX_WAIT. Raises Malformed."""
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("wait")
    if not values:
        return 0.0
    if not DURATION.fullmatch(values[-1]):
        raise Malformed("wait: a duration such as 30s")
    return min(float(calls.seconds(values[-1])), MAX_WAIT)


async def cancel(request: "Request", call_id: uuid.UUID | None) -> Answer:
    """DELETE /aap/v1/requests/{id}"""
    if call_id is None:
        return errors.NO_REQUEST
    return await request.gateway.lanes.run(calls.Cancel(request.key_hash, call_id))


async def consume(request: "Request", call_id: uuid.UUID | None) -> Answer:
    """POST /aap/v1/requests/{id}/consume"""
    key = idempotency_key(request)
    if key is None:
        return errors.NEEDS_KEY
    if request.body.strip() not in (b"", b"{}"):
        raise Malformed("The body of this request has to be empty")
    if call_id is None:
        return errors.NO_REQUEST
    return await request.gateway.lanes.run(calls.Consume(request.key_hash, call_id, key))


async def report(request: "Request", call_id: uuid.UUID | None) -> Answer:
    """POST /aap/v1/requests/{id}/outcome"""
    body = read(request.body, OutcomeBody)
    if call_id is None:
        return errors.NO_REQUEST
    return await request.gateway.lanes.run(calls.Report(request.key_hash, call_id, body))


REQUESTS, INSTANCES = "/aap/v1/requests", "/aap/v1/instances"
FIXED = {
    REQUESTS: {"POST": Handler(create)},
    INSTANCES: {"POST": Handler(instances.create, is_provisioning=True)},
}
OF_REQUEST = {
    "": {"GET": Handler(fetch), "DELETE": Handler(cancel)},
    "consume": {"POST": Handler(consume)},
    "outcome": {"POST": Handler(report)},
}
OF_INSTANCE = {
    "": {
        "GET": Handler(instances.fetch, is_provisioning=True),
        "PATCH": Handler(instances.change, is_provisioning=True),
        "DELETE": Handler(instances.retire, is_provisioning=True),
    }
}


def find(method: str, path: str) -> tuple[Handler, uuid.UUID | None] | Answer:
    """Who answers this path, with the request or instance it names (None where the id is malformed)."""
    named: uuid.UUID | None = None
    found = FIXED.get(path)
    for prefix, verbs in ((f"{REQUESTS}/", OF_REQUEST), (f"{INSTANCES}/", OF_INSTANCE)):
        if found is None and path.startswith(prefix):
            text, slash, verb = path.removeprefix(prefix).partition("/")
            found = verbs.get(verb) if verb or not slash else None
            named = uuid.UUID(text) if UUID.fullmatch(text) else None
    if found is None:
        return answers.NOT_FOUND
    if method not in found:
        allowed = ", ".join(found)
        return answers.error(405, f"Use {allowed}", None, (b"allow", allowed.encode()))
    return found[method], named
