"""Which path is whose, and what each does with a request that has a key."""

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

import msgspec
from django.conf import settings

from approvals import states
from approvals.holding import Held
from approvals.thread import Said
from audit.ids import read_id, show_id
from audit.leaf import timestamp
from gateway import answers, authz, bundles
from gateway.answers import Answer, encode, ok
from gateway.bodies import ApprovalAnswer, CheckBody, ClaimBody, CommentBody, LogBody, WhoamiAnswer
from gateway.claiming import may_see, show
from gateway.jobs import Cancel, Check, Claim, Comment, Log, closed
from gateway.parse import Malformed, read
from gateway.writer import Unavailable

if TYPE_CHECKING:
    from gateway.app import Receive, Request, Send

Headers = tuple[tuple[bytes, bytes], ...]
MAX_WAIT = 30.0  # seconds
RECEIPT = 2.0  # seconds that a claim waits for its receipt
PING = 15.0  # seconds
STREAM = 3_600.0  # seconds; then the client connects again


class Handler(NamedTuple):
    run: Callable[["Request", uuid.UUID | None], Awaitable[Answer]]
    stream: Callable[["Request", uuid.UUID | None, "Receive", "Send", Headers], Awaitable[Answer | None]] | None = None
    is_provisioning: bool = False  # whether it takes a provisioner's token, and no key

    @property
    def name(self) -> str:
        return (self.stream or self.run).__name__


def idempotency_key(request: "Request") -> str | None:
    """The header, where there is one. Raises Malformed."""
    raw = request.headers.get(b"idempotency-key")
    if raw is None:
        return None
    if not 1 <= len(raw) <= 200 or not all(0x21 <= byte <= 0x7E for byte in raw):
        raise Malformed("Idempotency-Key: 1 to 200 visible ASCII characters")
    return raw.decode("ascii")


TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")  # w3.org/TR/trace-context


def trace_id(request: "Request") -> str:
    """The trace that `traceparent` names; empty where it names none."""
    given = request.headers.get(b"traceparent")
    found = TRACE.fullmatch(given) if given else None
    return found[1].decode() if found and found[1].strip(b"0") else ""


async def check(request: "Request", _: uuid.UUID | None) -> Answer:
    """POST /sdk/check"""
    body = read(request.body, CheckBody)
    header = idempotency_key(request)
    if header and body.idempotency_key and header != body.idempotency_key:
        raise Malformed("idempotency_key: differs from the header Idempotency-Key")
    request.check = Check(request.key_hash, body, header or body.idempotency_key)
    request.check.trace_id = trace_id(request)
    return await request.gateway.lanes.run(request.check)


async def whoami(request: "Request", _: uuid.UUID | None) -> Answer:
    """GET /sdk/whoami"""
    seen = await request.gateway.reader.read(request.key.id)  # for the time and the epoch: it is no approval's
    era = seen.era
    key = era.cached_key(request.key_hash) or await era.key(request.key_hash)
    if key is None:
        return answers.UNAUTHORIZED
    if refused := closed(key, seen.now):
        return refused
    loaded = await era.of(key.organization_id)
    agent = loaded.agents.get(str(key.agent_id)) if loaded and key.agent_id else None
    if key.agent_id and agent is None:
        return answers.UNAUTHORIZED  # deleted, and its keys with it
    return ok(
        WhoamiAnswer(
            key_id=show_id("key", key.id),
            key_name=key.name,
            organization_id=str(key.organization_id),
            mode=key.mode,
            agent_id=agent.slug if agent else None,
            environment=key.environment or None,
            scopes=sorted(key.scopes),
            expires_at=timestamp(key.expires_at) if key.expires_at else None,
        )
    )


async def data(request: "Request", _: uuid.UUID | None) -> Answer:
    """POST /v1/data/{path}: a check, as an OPA is asked. What the query says (pretty, metrics, …) changes nothing."""
    era = request.gateway.policies.current
    loaded = await era.of(request.key.organization_id)
    is_object = None if loaded is None else authz.form_of(request.path.removeprefix(DATA), loaded)
    if is_object is None:
        return answers.NO_PATH
    request.check = authz.Query(request.key_hash, request.body, is_object=is_object)
    request.check.trace_id = trace_id(request)
    return await request.gateway.lanes.run(request.check)


async def health(request: "Request", _: uuid.UUID | None) -> Answer:
    """GET /health, as an OPA's: 200 while decisions can be made. Anybody may ask; nothing is told."""
    lanes, now = request.gateway.lanes, time.monotonic()
    return answers.UNAVAILABLE if lanes.quick.is_stuck(now) or lanes.careful.is_stuck(now) else answers.WELL


async def log(request: "Request", _: uuid.UUID | None) -> Answer:
    """POST /sdk/log"""
    body = read(request.body, LogBody)
    return await request.gateway.lanes.run(Log(request.key_hash, body, idempotency_key(request)))


async def claim(request: "Request", approval_id: uuid.UUID | None) -> Answer:
    """POST /sdk/approvals/{id}/claim"""
    key = idempotency_key(request)
    if key is None:
        return answers.KEY_NEEDED
    if approval_id is None:
        return answers.NO_APPROVAL
    body = read(request.body or b"{}", ClaimBody)
    claimed = await request.gateway.lanes.run(Claim(request.key_hash, approval_id, key, body.audience or ""))
    return await with_receipt(request, approval_id, claimed) if claimed.status == 200 else claimed


async def with_receipt(request: "Request", approval_id: uuid.UUID, claimed: Answer) -> Answer:
    """The answer to a claim with its receipt, which the sequencer signs; without it where that is not at work.

    The claim is committed: whatever fails here, the answer stays what it is.
    """
    gateway = request.gateway
    loop = asyncio.get_running_loop()
    until = loop.time() + RECEIPT
    with gateway.waiters.watch(approval_id, request.key.id) as woken:
        while True:
            woken.clear()
            try:
                seen = await gateway.reader.read(approval_id)
            except Unavailable:
                return claimed
            if seen.receipt:
                answer = msgspec.json.decode(claimed.body, type=ApprovalAnswer)
                if answer.claim:
                    answer.claim.receipt = seen.receipt
                return Answer(200, encode(answer), claimed.headers)
            left = until - loop.time()
            if not seen.is_signing or left <= 0:
                return claimed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), left)


async def cancel(request: "Request", approval_id: uuid.UUID | None) -> Answer:
    """POST /sdk/approvals/{id}/cancel"""
    if approval_id is None:
        return answers.NO_APPROVAL
    return await request.gateway.lanes.run(Cancel(request.key_hash, approval_id))


async def comment(request: "Request", approval_id: uuid.UUID | None) -> Answer:
    """POST /sdk/approvals/{id}/comments"""
    body = read(request.body, CommentBody)
    if approval_id is None:
        return answers.NO_APPROVAL
    return await request.gateway.lanes.run(Comment(request.key_hash, approval_id, body, idempotency_key(request)))


def wait_seconds(query: bytes) -> float:
    """`wait=30s` in seconds, at most MAX_WAIT. Raises Malformed."""
    return min(float(_number(query, "wait", "a number of seconds such as 30s", "s")), MAX_WAIT)


def known_comments(query: bytes) -> int | None:
    """`comments=2`: how many the client has; None where it does not wait for more. Raises Malformed."""
    if not parse_qs(query.decode("latin-1"), keep_blank_values=True).get("comments"):
        return None
    return _number(query, "comments", "the number of comments that you have")


def _number(query: bytes, name: str, meant: str, unit: str = "") -> int:
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(name)
    if not values:
        return 0
    text = values[-1].removesuffix(unit) if unit else values[-1]
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise Malformed(f"{name}: {meant}")
    return int(text)


class View(NamedTuple):
    """An approval as one key sees it at one moment."""

    held: Held
    now: datetime
    thread: list[Said]
    receipt: str

    def answer(self) -> Answer:
        return ok(show(*self))


async def look(request: "Request", approval_id: uuid.UUID) -> View | Answer:
    """The approval, or why this key does not see it: as of now, for keys end while their agents wait."""
    seen = await request.gateway.reader.read(approval_id)
    held, now, era = seen.held, seen.now, seen.era
    key = era.cached_key(request.key_hash) or await era.key(request.key_hash)
    if key is None:
        return answers.UNAUTHORIZED
    if refused := closed(key, now):
        return refused
    return View(held, now, seen.thread, seen.receipt) if held and may_see(key, held) else answers.NO_APPROVAL


async def approval(request: "Request", approval_id: uuid.UUID | None) -> Answer:
    """GET /sdk/approvals/{id}?wait=30s&comments=2. A stop ends the wait too, and so does its release: once."""
    seconds, known = wait_seconds(request.query), known_comments(request.query)
    if approval_id is None:
        return answers.NO_APPROVAL
    gateway = request.gateway
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    if seconds and gateway.waiters.full(request.key.id, settings.GATEWAY_MAX_WAITERS):
        return answers.TOO_MANY_WAITING
    began: tuple[datetime | None] | None = None
    with gateway.waiters.watch(approval_id, request.key.id) as woken:
        while True:
            woken.clear()  # before looking: what comes while we look wakes us again
            seen = await look(request, approval_id)
            if isinstance(seen, Answer):
                return seen
            held, now, thread, _ = seen
            began = began or (held.frozen_at,)
            left = until - loop.time()
            told = began != (held.frozen_at,) or (known is not None and len(thread) > known)
            if held.status(now) != states.PENDING or told or left <= 0:
                return seen.answer()
            left = min(left, held.seconds_left(now) + 0.01)
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                continue


async def events(
    request: "Request", approval_id: uuid.UUID | None, receive: "Receive", send: "Send", headers: Headers
) -> Answer | None:
    """GET /sdk/approvals/{id}/events: each state as a server-sent event, until there is nothing more to come."""
    if approval_id is None:
        return answers.NO_APPROVAL
    gateway = request.gateway
    if gateway.waiters.full(request.key.id, settings.GATEWAY_MAX_WAITERS):
        return answers.TOO_MANY_WAITING
    with gateway.waiters.watch(approval_id, request.key.id) as woken:
        seen = await look(request, approval_id)
        if isinstance(seen, Answer):
            return seen
        start = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            (b"x-request-id", request.id),
            *headers,
        ]
        request.streaming = True
        await send({"type": "http.response.start", "status": 200, "headers": start})
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await _stream(request, seen, woken, gone, send)
        finally:
            gone.cancel()
        return None


async def _disconnected(receive: "Receive") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(
    request: "Request", view: View, woken: asyncio.Event, gone: "asyncio.Task[None]", send: "Send"
) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + STREAM
    said = ""
    while True:
        held, now, thread, _ = view
        status = held.status(now)
        state = f"{status}:{held.claimed_at}:{held.frozen_at}:{held.digest}:{len(thread)}"
        if state != said:
            data = encode(show(held, now, thread)).decode()
            named = "paused" if status == states.PENDING and held.frozen_at else status
            await _send_part(send, f"event: {named}\nid: {held.approval_id}\ndata: {data}\n\n")
            said = state
        if status != states.PENDING or loop.time() >= until or gone.done():
            break
        waiting = asyncio.create_task(woken.wait())
        left = min(PING, held.seconds_left(now) + 0.01)
        done, _ = await asyncio.wait({waiting, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not done:
            await _send_part(send, ": still waiting\n\n")
        woken.clear()
        seen = await look(request, held.id)
        if isinstance(seen, Answer):
            break  # the key was revoked, say: whoever connects again is told
        view = seen
    await send({"type": "http.response.body", "body": b""})


async def _send_part(send: "Send", text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


DATA = "/v1/data/"
OURS = ("/sdk/", "/v1/", "/aap/", "/bundles/")
CHECK, LOG, APPROVAL, WHOAMI = Handler(check), Handler(log), Handler(approval), Handler(whoami)
CLAIM, CANCEL, COMMENT, EVENTS = Handler(claim), Handler(cancel), Handler(comment), Handler(approval, events)
QUERY, HEALTH, BUNDLE = Handler(data), Handler(health), Handler(bundles.bundle)
FIXED = {
    "/sdk/check": ("POST", CHECK),
    "/sdk/log": ("POST", LOG),
    "/sdk/whoami": ("GET", WHOAMI),
    "/health": ("GET", HEALTH),
    bundles.PATH: ("GET", BUNDLE),
}
OF_APPROVAL = {
    "": ("GET", APPROVAL),
    "events": ("GET", EVENTS),
    "claim": ("POST", CLAIM),
    "cancel": ("POST", CANCEL),
    "comments": ("POST", COMMENT),
}


def is_ours(path: str) -> bool:
    """Whether a path is of the agents' door: an OPA's /health is, people's /health/… are not."""
    return path.startswith(OURS) or path == "/health"


def find(method: str, path: str) -> tuple[Handler, uuid.UUID | None] | Answer:
    """Who answers this path, with the approval it names (None where the id is malformed)."""
    named: uuid.UUID | None = None
    found = FIXED.get(path)
    if found is None and path.startswith("/sdk/approvals/"):
        text, _, verb = path.removeprefix("/sdk/approvals/").partition("/")
        found = OF_APPROVAL.get(verb)
        named = read_id("apr", text)
    elif found is None and path.startswith(DATA):
        found = ("POST", QUERY)
    if found is None:
        return answers.NOT_FOUND
    allowed, handler = found
    if method != allowed:
        return answers.error(405, f"Use {allowed}", None, (b"allow", allowed.encode()))
    return handler, named
