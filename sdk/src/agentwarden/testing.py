"""A Warden in memory, for the tests of your own agents.

    def test_a_large_refund_waits_for_a_person():
        fake = FakeWarden()
        fake.allow("stripe.refund", up_to=50)
        fake.ask("stripe.refund", up_to=1000)
        with fake.client() as guard:
            assert guard.check("bot", "stripe.refund", {"amount": 20})
            asked = guard.check("bot", "stripe.refund", {"amount": 300})
            assert asked.requires_approval
            fake.approve(asked.approval_id)
            assert guard.wait_for_approval(asked.approval_id).approved
            guard.claim(asked.approval_id)
        assert [check.outcome for check in fake.checks] == ["allow", "ask"]

The client is the real one; only the connection is replaced. What no rule names is denied, as a real server does.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx

from ._async_client import AsyncAgentWarden
from ._client import AgentWarden
from ._errors import ValidationError
from ._fake_server import (
    API_KEY,
    BASE_URL,
    Failure,
    FakeServer,
    RecordedCheck,
    RecordedLog,
    Rule,
    RuleEffect,
    Transport,
    Verdict,
)

__all__ = ["FakeWarden", "RecordedCheck", "RecordedLog"]


class FakeWarden(FakeServer):
    """A scriptable double of the server. Safe to share between threads and tasks.

    Rules: `allow`, `ask`, `deny`. Decisions: `approve`, `reject`, `expire`; `question`. Trouble: `fail`, `disconnect`,
    `reconnect`. What happened: `checks`, `logs`, `claims` and `pending` (ids). Clients: `client()`, `async_client()`,
    both with short retries; any setting of the real constructor may be given.
    """

    # -- clients -----------------------------------------------------------------------------------------------

    def client(self, **options: Any) -> AgentWarden:
        """A blocking client of this fake; `options` as for `AgentWarden`. Close it, or use `with`."""
        return AgentWarden(**{**self._defaults(), **options})

    def async_client(self, **options: Any) -> AsyncAgentWarden:
        """A client of this fake for asyncio; `options` as for `AsyncAgentWarden`."""
        return AsyncAgentWarden(**{**self._defaults(), **options})

    @property
    def transport(self) -> httpx.MockTransport:
        """The connection, for a client you make yourself (`transport=fake.transport`)."""
        return Transport(self)

    def _defaults(self) -> dict[str, Any]:
        return {"api_key": API_KEY, "base_url": BASE_URL, "backoff": 0.001, "transport": self.transport}

    # -- rules -------------------------------------------------------------------------------------------------

    def allow(self, action: str, *, up_to: float | None = None) -> None:
        """Let the action pass, with `up_to` only for a context whose `amount` is at most that."""
        self._rule(action, "allow", up_to)

    def ask(self, action: str, *, up_to: float | None = None, decide: Verdict | None = None) -> None:
        """Ask a person; `decide` ("approved" or "denied") answers for that person at the first look."""
        if decide not in (None, "approved", "denied"):
            raise ValidationError(f"decide is 'approved' or 'denied'; not {decide!r}")
        self._rule(action, "ask", up_to, verdict=decide)

    def deny(self, action: str, *, reason: str | None = None) -> None:
        """Refuse the action, whatever else is said of it."""
        self._rule(action, "deny", None, reason=reason)

    def _rule(
        self,
        action: str,
        effect: RuleEffect,
        up_to: float | None,
        *,
        reason: str | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        rule = Rule(effect, None if up_to is None else Decimal(str(up_to)), reason, verdict)
        with self._changed:
            rules = self._rules.setdefault(action, [])
            rules.append(rule)
            # Deny wins; then the smallest tier that holds the amount; one without a maximum comes last.
            rules.sort(key=lambda r: (r.effect != "deny", r.up_to is None, r.up_to or 0))
            self.policy_version = f"v{sum(map(len, self._rules.values())) + 1}"

    # -- decisions ---------------------------------------------------------------------------------------------

    @property
    def pending(self) -> list[str]:
        """The ids of the approvals nobody has decided, oldest first."""
        with self._changed:
            return [approval.id for approval in self._approvals.values() if approval.status == "pending"]

    def approve(
        self,
        approval_id: str | None,
        *,
        effective_context: Mapping[str, Any] | None = None,
        reason: str | None = None,
        by: str = "approver@example.com",
    ) -> None:
        """Approve as a person would, with `effective_context` when that person changed what was asked."""
        self._decide(approval_id, "approved", reason, by, effective_context)

    def reject(
        self, approval_id: str | None, *, reason: str = "Not this time", by: str = "approver@example.com"
    ) -> None:
        """Deny as a person would."""
        self._decide(approval_id, "denied", reason, by)

    def question(self, approval_id: str, text: str, *, by: str = "approver@example.com") -> None:
        """Ask the agent something, as a person would."""
        with self._changed:
            approval = self._approvals.get(approval_id)
            if approval is None:
                raise ValidationError(f"No approval {approval_id!r}")
            self._say(approval, by, "question", {"text": text})

    def expire(self, approval_id: str | None) -> None:
        """Let the time of a pending approval run out."""
        self._decide(approval_id, "expired", None, None)

    def _decide(
        self,
        approval_id: str | None,
        status: str,
        reason: str | None,
        by: str | None,
        effective_context: Mapping[str, Any] | None = None,
    ) -> None:
        with self._changed:
            approval = self._approvals.get(approval_id or "")
            if approval is None or approval.status != "pending":
                state = "unknown" if approval is None else approval.status
                raise ValidationError(f"No pending approval {approval_id!r}: it is {state}")
            self._end(approval, status, reason, by)
            approval.effective_context = effective_context

    # -- trouble -----------------------------------------------------------------------------------------------

    def fail(self, status_code: int = 503, *, times: int | None = None, retry_after: float | None = None) -> None:
        """Answer the next `times` requests (None: all, until `reconnect`) with this status."""
        with self._changed:
            self._failures.append(Failure(status_code, times, retry_after))
            self._wake()

    def disconnect(self, *, times: int | None = None) -> None:
        """Let the next `times` requests (None: all, until `reconnect`) find no server."""
        with self._changed:
            self._failures.append(Failure(None, times, None))
            self._wake()

    def reconnect(self) -> None:
        """End all trouble."""
        with self._changed:
            self._failures.clear()
