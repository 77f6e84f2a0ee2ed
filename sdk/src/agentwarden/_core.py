"""What the client does, once, for both worlds.

Every operation is a generator that yields *effects* (send this, pause so long, call that) and is given their outcome;
`AgentWarden` performs them with blocking calls, `AsyncAgentWarden` by awaiting. No logic lives outside the generators,
and no input or output inside.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

from ._cache import Cache
from ._config import Settings
from ._errors import AgentWardenError, AuthenticationError, ValidationError
from ._json import encode
from ._models import (
    Answer,
    Approval,
    CheckResult,
    Claim,
    Comment,
    Identity,
    LogResult,
    parse_approval,
    parse_check,
    parse_claim,
    parse_comment,
    parse_identity,
    parse_log,
)
from ._observe import Observer, Observers
from ._outbox import Outbox
from ._requests import (
    Request,
    approval_request,
    cancel_request,
    check_request,
    claim_request,
    comment_request,
    log_request,
    new_key,
    refusal,
)
from ._retry import retryable, unreachable

T = TypeVar("T")
logger = logging.getLogger("agentwarden")

LONG_POLL = 30  # seconds; the most the server holds one
OUTAGE_PATIENCE = 300.0  # seconds a wait for a person outlives a server that cannot be reached
FLUSH_AT_ONCE = 5  # overdue entries sent along with one call, so that no call pays for all of them
FLUSH_TIMEOUT = 2.0  # seconds for each, and for all of them on closing


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request once; the outcome is the Answer, or a NetworkError is raised. `timeout` in seconds."""

    request: Request
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call the user's function; the outcome is its value (awaited, in the async client)."""

    function: Callable[[], Any]


Effect = Send | Pause | Call
Steps = Generator[Effect, Any, T]


class Core:
    """The operations of one client, and the little state they share."""

    def __init__(self, settings: Settings, observers: Iterable[Observer] = ()) -> None:
        self.settings = settings
        self.observers = Observers(observers)
        self.cache = Cache(settings.cache_ttl, settings.cache_size)
        self.outbox = Outbox()

    # -- one exchange ------------------------------------------------------------------------------------------

    def exchange(self, request: Request) -> Steps[Answer]:
        """A 200, or the error. Tries again while the total of `timeout` seconds allows, under the same key.

        An attempt may take half of what is left, so that one hung connection does not use up the budget; the last
        one may take all of it.
        """
        policy, deadline, attempt = self.settings.retry, time.monotonic() + self.settings.timeout, 0
        while True:
            left = deadline - time.monotonic()
            try:
                answer = yield from self._once(request, left if attempt >= policy.retries else left / 2)
            except AgentWardenError as error:
                pause = policy.pause(attempt, error)
                if pause is None or time.monotonic() + pause >= deadline:
                    raise
                logger.debug("%s %s: %s; trying again in %.2f s", request.method, request.path, error, pause)
            else:
                yield from self.flush(FLUSH_AT_ONCE)
                return answer
            yield Pause(pause)
            attempt += 1

    def _once(self, request: Request, timeout: float) -> Steps[Answer]:
        answer: Answer = yield Send(request, max(timeout, 0.001))
        error = refusal(request, answer)
        if error is None:
            return answer
        if isinstance(error, AuthenticationError) or error.status_code == 403 or error.code == "policy_changed":
            self.cache.clear()
        raise error

    # -- the operations ----------------------------------------------------------------------------------------

    def check(
        self,
        agent_id: str,
        action: str,
        context: Mapping[str, Any] | None = None,
        *,
        reasoning: str | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[CheckResult]:
        finish = self.observers.check(agent_id, action)
        try:
            result = yield from self._check(
                agent_id,
                action,
                context,
                reasoning=reasoning,
                expires_in=expires_in,
                idempotency_key=idempotency_key,
            )
        except BaseException as error:
            finish(None, error)
            raise
        finish(result, None)
        return result

    def _check(
        self,
        agent_id: str,
        action: str,
        context: Mapping[str, Any] | None,
        *,
        reasoning: str | None,
        expires_in: int | None,
        idempotency_key: str | None,
    ) -> Steps[CheckResult]:
        request = check_request(
            agent_id,
            action,
            context,
            reasoning=reasoning,
            expires_in=expires_in,
            idempotency_key=idempotency_key if idempotency_key is not None else new_key(),
        )
        cached = self.cache.on and idempotency_key is None
        canonical = encode(context) if cached else ""
        if cached and (known := self.cache.get(agent_id, action, canonical)) is not None:
            return known
        asked_at, generation = time.monotonic(), self.cache.generation
        try:
            answer = yield from self.exchange(request)
        except AgentWardenError as error:
            if action not in self.settings.fail_open_actions or not unreachable(error):
                raise
            return self._fail_open(agent_id, action, context, error)
        result = parse_check(answer)
        if cached:
            self.cache.put(agent_id, action, canonical, result, asked_at=asked_at, generation=generation)
        return result

    def _fail_open(
        self, agent_id: str, action: str, context: Mapping[str, Any] | None, error: AgentWardenError
    ) -> CheckResult:
        logger.warning(
            "Warden could not be reached; '%s' of agent '%s' goes ahead, as it is one of fail_open_actions (%s)",
            action,
            agent_id,
            error,
        )
        told = {
            **(context or {}),
            "fail_open": True,
            "fail_open_cause": type(error).__name__,
            "fail_open_at": datetime.now(timezone.utc).isoformat(),
        }
        self.report_later(_log_request(agent_id, action, "success", told))
        reason = f"Warden could not be reached; '{action}' is one of fail_open_actions"
        return CheckResult(allowed=True, requires_approval=False, reason=reason, fail_open=True)

    def log(
        self,
        agent_id: str,
        action: str,
        status: str,
        context: Mapping[str, Any] | None = None,
        ip_address: str | None = None,
        *,
        approval_id: str | None = None,
        decision_id: str | None = None,
    ) -> Steps[LogResult]:
        request = _log_request(
            agent_id,
            action,
            status,
            context,
            ip_address=ip_address,
            approval_id=approval_id,
            decision_id=decision_id,
        )
        return parse_log((yield from self.exchange(request)))

    def get_approval(self, approval_id: str) -> Steps[Approval]:
        return parse_approval((yield from self.exchange(approval_request(approval_id))), approval_id)

    def wait_for_approval(self, approval_id: str, *, timeout: float | None = None) -> Steps[Approval]:
        """Long polls until the approval is no longer pending, or `timeout` seconds have gone by.

        A server that restarts meanwhile is waited for: OUTAGE_PATIENCE seconds without one answer, then the error.
        """
        if timeout is not None and not timeout >= 0:
            raise ValidationError(f"timeout is a number of seconds, at least 0; not {timeout!r}")
        finish = self.observers.wait(approval_id)
        try:
            approval = yield from self._wait(approval_id, timeout)
        except BaseException as error:
            finish(None, error)
            raise
        finish(approval, None)
        return approval

    def _wait(self, approval_id: str, timeout: float | None) -> Steps[Approval]:
        started = heard = time.monotonic()
        deadline = float("inf") if timeout is None else started + timeout
        failures = 0
        while True:
            asked_at = time.monotonic()
            left = deadline - asked_at
            wait = int(min(LONG_POLL, max(left, 0)))
            try:
                answer = yield from self._once(approval_request(approval_id, wait=wait), wait + self.settings.timeout)
            except AgentWardenError as error:
                now = time.monotonic()
                if not retryable(error) or now >= min(deadline, heard + OUTAGE_PATIENCE):
                    raise
                pause = self.settings.retry.backoff(failures, error)
                failures += 1
            else:
                approval = parse_approval(answer, approval_id)
                heard = now = time.monotonic()
                if not approval.pending or now >= deadline:
                    return approval
                failures = 0
                # A proxy or an older server may answer at once: then ask once a second, not in a spin.
                pause = max(0.0, min(wait, 1) - (now - asked_at)) if wait else deadline - now
            if pause > 0:
                yield Pause(min(pause, max(deadline - now, 0.0)))

    def claim(self, approval_id: str, idempotency_key: str | None = None, audience: str | None = None) -> Steps[Claim]:
        key = idempotency_key if idempotency_key is not None else new_key()
        answer = yield from self.exchange(claim_request(approval_id, idempotency_key=key, audience=audience))
        return parse_claim(answer, approval_id)

    def cancel(self, approval_id: str) -> Steps[Approval]:
        return parse_approval((yield from self.exchange(cancel_request(approval_id))), approval_id)

    def comment(
        self, approval_id: str, text: str, attachment: Mapping[str, str] | None, idempotency_key: str | None
    ) -> Steps[Comment]:
        key = idempotency_key if idempotency_key is not None else new_key()
        return parse_comment(
            (yield from self.exchange(comment_request(approval_id, text, attachment, idempotency_key=key)))
        )

    def whoami(self) -> Steps[Identity]:
        return parse_identity((yield from self.exchange(Request("GET", "/sdk/whoami"))))

    # -- what could not be reported yet ------------------------------------------------------------------------

    def report(
        self,
        agent_id: str,
        action: str,
        status: str,
        context: Mapping[str, Any] | None,
        *,
        approval_id: str | None = None,
        decision_id: str | None = None,
        hurried: bool = False,
    ) -> Steps[None]:
        """Log an outcome; never raises an Exception. What the server cannot take now is sent later.

        `hurried`: the caller is being interrupted or cancelled, and gets one short try.
        """
        try:
            request = _log_request(agent_id, action, status, context, approval_id=approval_id, decision_id=decision_id)
        except AgentWardenError as error:
            logger.error("The outcome '%s' of '%s' cannot be logged: %s", status, action, error)
            return
        if hurried:
            self.report_later(request)
            yield from self.flush(FLUSH_AT_ONCE, seconds=FLUSH_TIMEOUT)
            return
        try:
            yield from self.exchange(request)
        except AgentWardenError as error:
            if retryable(error):
                self.report_later(request)
            else:
                logger.error("Warden refused the outcome '%s' of '%s': %s", status, action, error)
        except Exception as error:  # a client closed meanwhile, for one: what the action did comes first
            logger.error("The outcome '%s' of '%s' was not logged: %r", status, action, error)

    def report_later(self, request: Request) -> None:
        if self.outbox.add(request):
            logger.warning("An outcome of '%s' is kept until Warden can be reached", request.action)
        else:
            logger.error("Too many outcomes wait for Warden; one of '%s' is in this log alone", request.action)

    def flush(self, most: int | None = None, *, seconds: float | None = None) -> Steps[None]:
        """Send what is overdue, oldest first, until the first that the server cannot take. Never raises for it."""
        if not self.outbox.begin():
            return
        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        try:
            count = 0
            while (most is None or count < most) and (request := self.outbox.first()) is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                count += 1
                try:
                    yield from self._once(request, min(FLUSH_TIMEOUT, self.settings.timeout, left))
                except AgentWardenError as error:
                    if retryable(error):
                        return
                    logger.error("Warden refused an overdue outcome of '%s': %s", request.action, error)
                self.outbox.sent()
        finally:
            self.outbox.end()

    def close(self) -> Steps[None]:
        """A last, short try to deliver what is overdue."""
        yield from self.flush(seconds=FLUSH_TIMEOUT)
        self.tell_overdue()

    def tell_overdue(self) -> None:
        """Say how much was not reported, at the end."""
        if len(self.outbox):
            logger.error("%d outcomes could not be reported to Warden; they are in this log alone", len(self.outbox))


def _log_request(
    agent_id: str,
    action: str,
    status: str,
    context: Mapping[str, Any] | None,
    *,
    ip_address: str | None = None,
    approval_id: str | None = None,
    decision_id: str | None = None,
) -> Request:
    return log_request(
        agent_id,
        action,
        status,
        context,
        ip_address=ip_address,
        approval_id=approval_id,
        decision_id=decision_id,
        idempotency_key=new_key(),
    )
