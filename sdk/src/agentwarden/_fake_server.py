"""The server behind `agentwarden.testing`: the agent API in memory, with the answers a real one gives."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import httpx

from ._json import MalformedJSON, decode, encode, same

API_KEY = "test_FakeWardenFakeWardenFakeWardenFakeWar"
BASE_URL = "http://localhost"

IDENTITY = {
    "key_id": "key_fake",
    "key_name": "The key of a fake",
    "organization_id": "org_fake",
    "mode": "test",
    "agent_id": None,
    "environment": None,
    "scopes": ["sdk"],
    "expires_at": None,
}

RuleEffect = Literal["allow", "ask", "deny"]
Verdict = Literal["approved", "denied"]


@dataclass(frozen=True, slots=True)
class RecordedCheck:
    """One check as the fake received it, and its outcome: allow, ask or deny."""

    agent_id: str
    action: str
    context: Mapping[str, Any] | None
    reasoning: str | None
    idempotency_key: str | None
    outcome: str
    approval_id: str | None


@dataclass(frozen=True, slots=True)
class RecordedLog:
    """One log entry as the fake received it."""

    agent_id: str
    action: str
    status: str
    context: Mapping[str, Any] | None
    approval_id: str | None
    decision_id: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    effect: RuleEffect
    up_to: Decimal | None
    reason: str | None
    verdict: Verdict | None


@dataclass(slots=True)
class Approval:
    id: str
    digest: str
    agent_id: str
    action: str
    context: Mapping[str, Any] | None
    expires_at: datetime
    verdict: Verdict | None
    status: str = "pending"
    reason: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    effective_context: Mapping[str, Any] | None = None
    claim: dict[str, Any] | None = None
    claim_key: str | None = None
    comments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def edited(self) -> bool:
        """Whether a person approved something else than was asked."""
        return self.effective_context is not None and not same(dict(self.effective_context), dict(self.context or {}))


@dataclass(slots=True)
class Failure:
    status_code: int | None
    times: int | None
    retry_after: float | None


@dataclass(slots=True)
class Said:
    body: bytes
    answer: dict[str, Any] = field(default_factory=dict)


class FakeServer:
    """State and routes. Every method that starts with an underscore wants the lock held."""

    def __init__(self, *, agents: Iterable[str] | None = None) -> None:
        """agents: the only ones that exist; left out, every agent does."""
        self.checks: list[RecordedCheck] = []
        self.logs: list[RecordedLog] = []
        self.claims: list[str] = []
        self.policy_version = "v1"
        self._agents = None if agents is None else frozenset(agents)
        self._rules: dict[str, list[Rule]] = {}
        self._approvals: dict[str, Approval] = {}
        self._by_digest: dict[str, Approval] = {}
        self._said: dict[str, Said] = {}
        self._failures: list[Failure] = []
        self._changed = threading.Condition()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._count = 0

    # -- the server --------------------------------------------------------------------------------------------

    def respond(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """One request in, one answer out."""
        with self._changed:
            self._count += 1
            trouble = self._trouble(request)
            if trouble is not None:
                return trouble
            if request.headers.get("X-API-Key", "") != API_KEY:
                return self._answer(401, {"detail": "Invalid API key"})
            try:
                value = decode(body) if body else {}
            except MalformedJSON:
                return self._answer(422, {"detail": "The body is not JSON"})
            match request.method, *request.url.path.strip("/").split("/"):
                case "POST", "sdk", "check":
                    return self._check(value, body, request.headers.get("Idempotency-Key"))
                case "POST", "sdk", "log":
                    return self._log(value)
                case "GET", "sdk", "whoami":
                    return self._answer(200, IDENTITY)
                case "GET", "sdk", "approvals", approval_id:
                    return self._shown(approval_id)
                case "POST", "sdk", "approvals", approval_id, "claim":
                    return self._claim(approval_id, request.headers.get("Idempotency-Key", ""))
                case "POST", "sdk", "approvals", approval_id, "cancel":
                    return self._cancel(approval_id)
                case "POST", "sdk", "approvals", approval_id, "comments":
                    return self._comment(approval_id, value)
            return self._answer(404, {"detail": "Not found"})

    def _trouble(self, request: httpx.Request) -> httpx.Response | None:
        if not self._failures:
            return None
        failure = self._failures[0]
        if failure.times is not None:
            failure.times -= 1
            if failure.times <= 0:
                self._failures.pop(0)
        if failure.status_code is None:
            raise httpx.ConnectError("The fake is disconnected", request=request)
        headers = {} if failure.retry_after is None else {"Retry-After": str(int(failure.retry_after))}
        return self._answer(failure.status_code, {"detail": f"Scripted {failure.status_code}"}, headers)

    def _answer(
        self, status_code: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return httpx.Response(
            status_code,
            content=encode(value, what="answer").encode(),
            headers={"Content-Type": "application/json", "X-Request-ID": f"fake-{self._count}", **(headers or {})},
        )

    def _check(self, value: dict[str, Any], body: bytes, key: str | None) -> httpx.Response:
        if key is not None and (said := self._said.get(key)) is not None:
            if said.body != body:
                return self._answer(422, {"detail": "The idempotency key was used with another body"})
            return self._answer(200, said.answer)
        agent_id, action, context = value["agent_id"], value["action"], value.get("context")
        if self._agents is not None and agent_id not in self._agents:
            return self._answer(404, {"detail": "Agent not found"})
        outcome, answer = self._decision(agent_id, action, context)
        answer.update(decision_id=f"dec_{self._count:06}", policy_version=self.policy_version)
        self.checks.append(
            RecordedCheck(agent_id, action, context, value.get("reasoning"), key, outcome, answer.get("approval_id"))
        )
        if key is not None:
            self._said[key] = Said(body, answer)
        return self._answer(200, answer)

    def _decision(self, agent_id: str, action: str, context: dict[str, Any] | None) -> tuple[str, dict[str, Any]]:
        rules = self._rules.get(action)
        if not rules:
            return "deny", _no(f"No permission for action '{action}'")
        if rules[0].effect == "deny":
            return "deny", _no(rules[0].reason or f"Action '{action}' is denied")
        amount = _amount(context)
        bounded = [rule.up_to for rule in rules if rule.up_to is not None]
        if bounded and amount is None:
            return "deny", _no("A maximum applies, and 'amount' is not a number of at least 0")
        rule = next((r for r in rules if r.up_to is None or (amount is not None and amount <= r.up_to)), None)
        if rule is None:
            return "deny", _no(f"Amount {amount:.2f} exceeds maximum allowed {bounded[-1]:.2f}")
        if rule.effect == "allow":
            answer = {"allowed": True, "requires_approval": False, "reason": None, "cacheable": True}
            return "allow", answer
        return self._ask(agent_id, action, context, rule)

    def _ask(
        self, agent_id: str, action: str, context: dict[str, Any] | None, rule: Rule
    ) -> tuple[str, dict[str, Any]]:
        digest = hashlib.sha256(encode([agent_id, action, context]).encode()).hexdigest()
        approval = self._by_digest.get(digest)
        if approval is None or approval.claim is not None:
            approval = Approval(
                id=f"apr_{len(self._approvals) + 1:06}",
                digest=digest,
                agent_id=agent_id,
                action=action,
                context=context,
                expires_at=_now() + timedelta(hours=1),
                verdict=rule.verdict,
            )
            self._approvals[approval.id] = self._by_digest[digest] = approval
        elif approval.status == "approved" and approval.edited:
            reason = f"Approved with changes: read {approval.id}, claim it, and do exactly that"
            told = {**_no(reason), "cacheable": False, "approval_id": approval.id, "status": "denied", "code": "edited"}
            return "deny", {**told, "effective_context": approval.effective_context}
        elif approval.status == "approved":
            self._take(approval, f"check-{self._count}")
            told = {"allowed": True, "requires_approval": False, "effective_context": approval.effective_context}
            return "allow", {**told, "approval_id": approval.id, "status": "approved", "reason": approval.reason}
        elif approval.status != "pending":
            reason = approval.reason or f"The request was {approval.status}"
            return "deny", {**_no(reason), "cacheable": False, "approval_id": approval.id, "status": approval.status}
        return "ask", {
            "allowed": False,
            "requires_approval": True,
            "reason": "This action requires human approval",
            "approval_id": approval.id,
            "status": "pending",
            "approval_url": f"{BASE_URL}/approvals/{approval.id}",
            "expires_at": _iso(approval.expires_at),
        }

    def _log(self, value: dict[str, Any]) -> httpx.Response:
        agent_id, action, status, context = value["agent_id"], value["action"], value["status"], value.get("context")
        self.logs.append(
            RecordedLog(agent_id, action, status, context, value.get("approval_id"), value.get("decision_id"))
        )
        told = {"id": f"log_{len(self.logs):06}", "organization_id": "org_fake", "created_at": _iso(_now())}
        return self._answer(200, {**told, "agent_id": agent_id, "action": action, "status": status, "context": context})

    def _shown(self, approval_id: str) -> httpx.Response:
        approval = self._approvals.get(approval_id)
        if approval is None:
            return self._answer(404, {"detail": "Approval not found"})
        if approval.verdict is not None and approval.status == "pending":
            self._end(approval, approval.verdict, None, "approver@example.com")
        decision = {
            "status": approval.status,
            "reason": approval.reason,
            "decided_at": _iso(approval.decided_at),
            "decided_by": approval.decided_by,
            "expires_at": _iso(approval.expires_at),
        }
        shown: dict[str, Any] = {
            "id": approval.id,
            "status": approval.status,
            "decision": decision,
            "claim": approval.claim,
        }
        if approval.comments:
            shown["comments"] = approval.comments
        return self._answer(
            200, {**shown, "context": approval.context, "effective_context": approval.effective_context}
        )

    def _claim(self, approval_id: str, key: str) -> httpx.Response:
        approval = self._approvals.get(approval_id)
        if approval is None:
            return self._answer(404, {"detail": "Approval not found"})
        if approval.claim is not None and approval.claim_key != key:
            return self._answer(409, {"detail": "The approval was claimed before", "code": "already_claimed"})
        if approval.status != "approved":
            code = "approval_expired" if approval.status == "expired" else "not_approved"
            return self._answer(409, {"detail": f"The approval is {approval.status}", "code": code})
        self._take(approval, key)
        effective = approval.context if approval.effective_context is None else approval.effective_context
        told = {"id": approval.id, "status": "approved", "claim": approval.claim, "effective_context": effective}
        return self._answer(200, {**told, "action": approval.action, "agent_id": approval.agent_id})

    def _take(self, approval: Approval, key: str) -> None:
        if approval.claim is None:
            now = _now()
            deadline = _iso(now + timedelta(minutes=5))
            approval.claim = {"claimed_at": _iso(now), "deadline_at": deadline, "digest": approval.digest}
            approval.claim_key = key
            self.claims.append(approval.id)

    def _cancel(self, approval_id: str) -> httpx.Response:
        approval = self._approvals.get(approval_id)
        if approval is None:
            return self._answer(404, {"detail": "Approval not found"})
        if approval.status == "pending":
            self._end(approval, "cancelled", None, None)
        if approval.status != "cancelled":
            told = {"detail": f"This approval is {approval.status} already", "code": "already_decided"}
            return self._answer(409, told)
        return self._shown(approval_id)

    def _comment(self, approval_id: str, value: dict[str, Any]) -> httpx.Response:
        approval = self._approvals.get(approval_id)
        if approval is None:
            return self._answer(404, {"detail": "Approval not found"})
        if approval.status != "pending":
            told = {"detail": f"This approval is {approval.status} already", "code": "already_decided"}
            return self._answer(409, told)
        return self._answer(200, self._say(approval, approval.agent_id, "answer", value))

    def _say(self, approval: Approval, by: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
        said = {"id": f"cmt_{self._count:06}_{len(approval.comments)}", "by": by, "kind": kind, **value}
        said["created_at"] = _iso(_now())
        approval.comments.append(said)
        return said

    # -- waiting -----------------------------------------------------------------------------------------------

    def _undecided(self, request: httpx.Request) -> bool:
        approval_id = request.url.path.rpartition("/")[2]
        approval = self._approvals.get(approval_id) if request.method == "GET" else None
        waits = approval is not None and approval.status == "pending" and approval.verdict is None
        return waits and not self._failures

    def wait(self, request: httpx.Request) -> None:
        """Hold a long poll until its approval is decided, trouble starts, or its time is up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._undecided(request), _seconds(request))

    async def wait_async(self, request: httpx.Request) -> None:
        """The same, without holding up the event loop; the decision may come from any thread."""
        woken = asyncio.Event()
        waiter = (asyncio.get_running_loop(), woken)
        with self._changed:
            if not self._undecided(request):
                return
            self._waiters.append(waiter)
        try:
            await asyncio.wait_for(woken.wait(), _seconds(request))
        except asyncio.TimeoutError:
            return  # nobody decided: the answer says so
        finally:
            with self._changed:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def _wake(self) -> None:
        self._changed.notify_all()
        for loop, woken in self._waiters:
            loop.call_soon_threadsafe(woken.set)
        self._waiters.clear()

    def _end(self, approval: Approval, status: str, reason: str | None, by: str | None) -> None:
        approval.status, approval.reason, approval.decided_by = status, reason, by
        approval.decided_at = _now()
        self._wake()


class Transport(httpx.MockTransport):
    """Both kinds of connection to one server; a long poll waits the way its world waits."""

    def __init__(self, server: FakeServer) -> None:
        super().__init__(lambda request: server.respond(request, request.read()))
        self._server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._server.wait(request)
        return super().handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._server.wait_async(request)
        return await super().handle_async_request(request)


def _seconds(request: httpx.Request) -> float:
    return float(request.url.params.get("wait", "0s").rstrip("s"))


def _no(reason: str) -> dict[str, Any]:
    return {"allowed": False, "requires_approval": False, "reason": reason, "cacheable": True}


def _amount(context: Mapping[str, Any] | None) -> Decimal | None:
    value = (context or {}).get("amount")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    amount = Decimal(json.dumps(value))
    return amount if amount >= 0 else None


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
