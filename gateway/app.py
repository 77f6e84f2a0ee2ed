"""The ASGI application that agents speak to: /sdk, /aap, /v1. It knows nothing of Django's request cycle."""

import asyncio
import base64
import binascii
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings

from accounts.secrets import hash_secret, is_well_formed
from agents.load import KeyFacts
from agents.models.key import PREFIXES
from agents.spiffe import identities, svids
from agents.spiffe.names import SpiffeId
from audit.connection import conninfo
from gateway import access, answers, authz, identity, metrics, routes
from gateway.aap import errors as aap
from gateway.aap import routes as aap_routes
from gateway.aap.instances import Instances
from gateway.aap.reading import Calls
from gateway.answers import BEARER, Answer
from gateway.gate import External
from gateway.identity import Identities
from gateway.jobs import Check
from gateway.lanes import Lanes
from gateway.limits import Limits, Quota
from gateway.metrics import Meter
from gateway.parse import Malformed
from gateway.policies import Policies
from gateway.touch import Touch
from gateway.waiting import Approvals, Waiters
from gateway.writer import Unavailable

log = structlog.get_logger(__name__)
Scope = Any
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
JSON = (b"content-type", b"application/json")
FORMS = tuple(PREFIXES.values())
OPA = "/v1/"  # where errors are said as an OPA says them
SINGLE = (
    b"x-api-key",
    b"authorization",
    b"idempotency-key",
    identity.FORWARDED,
)  # sent twice, a proxy may have looked at the other
LONG_AGO = datetime.fromtimestamp(0, UTC)
UNIT = 4_096  # bytes of a body that count as one more request


class TooSlow(Exception):
    """The body did not arrive in GATEWAY_BODY_SECONDS."""


class Request:
    """One request of an agent, its headers read and its key known."""

    __slots__ = (
        "body",
        "check",
        "client",
        "doubled",
        "endpoint",
        "gateway",
        "headers",
        "id",
        "key",
        "key_hash",
        "path",
        "peer",
        "query",
        "started",
        "streaming",
    )

    def __init__(self, gateway: "Gateway", scope: Scope) -> None:
        self.gateway = gateway
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        names = [name for name, _ in scope["headers"]] if len(self.headers) != len(scope["headers"]) else []
        self.doubled = any(names.count(name) > 1 for name in SINGLE)
        self.path: str = scope["path"]
        self.client: str = scope["client"][0] if scope.get("client") else ""
        self.peer: identity.Chain | None = (scope.get("extensions") or {}).get(identity.PEER)
        self.query: bytes = scope.get("query_string", b"")
        self.id = self._request_id()
        self.started = time.perf_counter()
        self.streaming = False  # whether a stream has begun, which no other answer can follow
        self.endpoint = "unknown"
        self.check: Check | None = None
        self.key: KeyFacts
        self.key_hash = b""
        self.body = b""

    def _request_id(self) -> bytes:
        if self.path.startswith(aap.PATH):
            return str(uuid.uuid4()).encode()  # its clients are promised a UUID
        given = self.headers.get(b"x-request-id", b"")
        if 8 <= len(given) <= 64 and given.replace(b"-", b"").replace(b"_", b"").replace(b".", b"").isalnum():
            return given
        return secrets.token_hex(12).encode()

    def credential(self) -> str:
        """The key, from X-API-Key or Authorization (Bearer, or the password of Basic, which is what a client makes of
        https://opa:KEY@host); empty when there is none, or none of our form."""
        raw = self.headers.get(b"x-api-key")
        text = self.bearer() if raw is None else raw.strip().decode("latin-1")
        return text if is_well_formed(text, *FORMS) else ""

    def bearer(self) -> str:
        """The token, or the password, in Authorization; empty where there is none."""
        scheme, _, raw = self.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"basic":
            raw = password(raw)
        elif scheme.lower() != b"bearer":
            return ""
        return raw.strip().decode("latin-1")


def password(basic: bytes) -> bytes:
    """The password in the credentials of HTTP Basic (RFC 7617); empty where they are malformed."""
    try:
        return base64.b64decode(basic.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


class Gateway:
    """One per process: made at the start of the server, stopped at its end."""

    def __init__(self) -> None:
        parameters = conninfo()
        self.policies = Policies()
        self.limits = Limits(settings.REDIS_URL, parameters)
        self.waiters = Waiters(parameters)
        self.reader = Approvals(parameters, self.policies)
        self.calls = Calls(parameters, self.policies)
        self.instances = Instances(self.limits)
        self.external = External(self.policies, self.reader, self.calls)
        self.lanes = Lanes(parameters, self.policies, self.external)
        self.touch = Touch()
        self.identities = Identities()
        self.meter = Meter(lambda: self.waiters.count)

    def start(self) -> None:
        """Begins; connects when there is something to do."""
        self.lanes.quick.start()
        self.lanes.careful.start()
        self.limits.start()
        self.waiters.start()
        self.reader.start()
        self.calls.start()
        self.touch.start()
        self.identities.start()
        self.meter.start()

    async def stop(self) -> None:
        """Refuses what waits and lets go of everything."""
        await asyncio.gather(
            self.lanes.quick.stop(),
            self.lanes.careful.stop(),
            self.limits.stop(),
            self.waiters.stop(),
            self.reader.stop(),
            self.calls.stop(),
            self.external.stop(),
            self.touch.stop(),
            self.identities.stop(),
            self.meter.stop(),
        )
        self.policies.stop()
        self.instances.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request. Whatever goes wrong, the answer is an error and never an allow (I9)."""
        request = Request(self, scope)
        try:
            answer = await self._answer(request, scope, receive, send)
        except Malformed as error:
            answer = answers.error(422, str(error))
        except Unavailable:
            answer = answers.UNAVAILABLE
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.error("gateway.failed", path=scope["path"], request_id=request.id.decode(), exc_info=error)
            answer = answers.FAILED
        if answer is not None and answer.status >= 400 and request.path.startswith(OPA):
            answer = authz.as_opa(answer)
        elif answer is not None and answer.status >= 400 and request.path.startswith(aap.PATH):
            answer = aap.as_aap(answer, request.id)
        access.answered(request, scope, 200 if answer is None else answer.status)
        if answer is not None and not request.streaming:
            await respond(send, answer, request.id)

    async def _credential(self, request: Request) -> bytes | Answer:
        """By what the request is to be judged: the hash of its key, or the identity that its SVID proves."""
        try:
            proved = await self.identities.credential(request)
        except svids.Refused as refused:
            if refused.id:
                await self._late(refused.id)
            metrics.refused_svid(refused.code)
            return answers.error(401, str(refused), None, BEARER)
        if proved is not None:
            return proved
        secret = request.credential()
        if secret:
            return hash_secret(secret)
        wrong = request.path.startswith(aap.PATH) and await self.instances.knows(request.bearer())
        return aap.NOT_AN_INSTANCE if wrong else answers.UNAUTHORIZED

    async def _late(self, name: SpiffeId) -> None:
        """An SVID was good until it expired: its agent, if it is one, did not get a new one in time."""
        credential = identities.credential(svids.Proof(name, LONG_AGO))
        era = self.policies.current
        key = era.cached_key(credential) or await era.key(credential)
        if key is not None:
            metrics.rotation_failed(key.name)

    def _unknown(self, credential: bytes) -> Answer:
        if not identities.is_proof(credential):
            return answers.UNAUTHORIZED
        metrics.refused_svid("unknown_caller")
        return answers.UNKNOWN_IDENTITY

    def _used(self, key: KeyFacts, credential: bytes) -> None:
        if identities.is_proof(credential):
            identity.used(key.name, credential)
        else:
            self.touch.used(key.id)

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        find = aap_routes.find if request.path.startswith(aap.PATH) else routes.find
        found = find(scope["method"], scope["path"])
        if isinstance(found, Answer):
            return found
        handler, argument = found
        request.endpoint = handler.name
        if handler is routes.HEALTH:
            return await handler.run(request, argument)
        if request.doubled:
            return answers.DOUBLED
        if handler.is_provisioning:
            return await self._provision(request, handler, argument, receive)
        credential = await self._credential(request)
        if isinstance(credential, Answer):
            return credential
        request.key_hash = credential
        # Whose request it is. What the key opens at this moment is judged where the answer is made.
        era = self.policies.current
        key = era.cached_key(request.key_hash) or await era.key(request.key_hash)
        if key is None or key.revoked:
            return self._unknown(credential)
        request.key = key
        self._used(key, credential)
        limit = key.rate_limit or settings.GATEWAY_RATE_LIMIT
        quota = await self.limits.take(key.id, limit)
        if quota.remaining < 0:
            return _over(quota)
        try:
            if scope["method"] == "POST":
                body = await read_body(receive, settings.GATEWAY_BODY_LIMIT)
                if body is None:
                    return _with(answers.TOO_LARGE, quota.headers)
                if more := len(body) // UNIT:  # reading it takes time, keeping it room
                    quota = await self.limits.take(key.id, limit, more)
                    if quota.remaining < 0:
                        return _over(quota)
                request.body = body
            if handler.stream is not None:
                refused = await handler.stream(request, argument, receive, send, quota.headers)
                return refused and _with(refused, quota.headers)
            return _with(await handler.run(request, argument), quota.headers)
        except Malformed as error:
            return _with(answers.error(422, str(error)), quota.headers)
        except Unavailable:
            return _with(answers.UNAVAILABLE, quota.headers)
        except TooSlow:
            return _with(answers.TOO_SLOW, quota.headers)

    async def _provision(
        self, request: Request, handler: routes.Handler, argument: uuid.UUID | None, receive: Receive
    ) -> Answer:
        """What a provisioner token opens: instances of AAP, which are managed away from the lanes."""
        try:
            body = await read_body(receive, settings.GATEWAY_BODY_LIMIT)
        except TooSlow:
            return answers.TOO_SLOW
        if body is None:
            return answers.TOO_LARGE
        request.body = body
        return await handler.run(request, argument)


def _over(quota: Quota) -> Answer:
    detail = f"More than {quota.limit} requests in a minute"
    return answers.error(429, detail, None, *quota.headers, (b"retry-after", b"%d" % quota.reset))


def _with(answer: Answer, headers: tuple[tuple[bytes, bytes], ...]) -> Answer:
    return Answer(answer.status, answer.body, answer.headers + headers)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, or None when it is over `limit` bytes. Raises TooSlow; CancelledError for who is gone."""
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(settings.GATEWAY_BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise asyncio.CancelledError
                body += message.get("body", b"")
                if len(body) > limit:
                    return None
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise TooSlow from error
    return bytes(body)


async def respond(send: Send, answer: Answer, request_id: bytes) -> None:
    """Sends a whole answer."""
    headers = [
        *([] if any(name == JSON[0] for name, _ in answer.headers) else [JSON]),
        (b"content-length", b"%d" % len(answer.body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
