"""When to try again, and for how long: pure functions of an error, a count and a clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from secrets import SystemRandom

from ._errors import AgentWardenError, APIError, NetworkError, RateLimitError

RETRIED = frozenset({429, 500, 502, 503, 504})
LONGEST_RETRY_AFTER = 60.0

# The system's generator needs no seed, so forked workers do not retry in step.
_jitter = SystemRandom().uniform


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a random pause between 0 and `base * 2**n` seconds, at most `cap`."""

    retries: int = 3
    base: float = 0.25
    cap: float = 8.0

    def pause(self, attempt: int, error: AgentWardenError) -> float | None:
        """Seconds to wait after the attempt numbered `attempt` (from 0) failed; None: do not try again."""
        if attempt >= self.retries or not retryable(error):
            return None
        return self.backoff(attempt, error)

    def backoff(self, attempt: int, error: AgentWardenError) -> float:
        """Seconds to wait, never less than the server's Retry-After, however many attempts there were."""
        pause = _jitter(0, min(self.cap, self.base * 2 ** min(attempt, 30)))
        wanted = error.retry_after if isinstance(error, RateLimitError | APIError) else None
        return pause if wanted is None else wanted + min(pause, self.base)


def retryable(error: AgentWardenError) -> bool:
    """Whether the same request, sent again under the same idempotency key, may fare better."""
    return isinstance(error, NetworkError) or error.status_code in RETRIED


def unreachable(error: AgentWardenError) -> bool:
    """Whether Warden could not answer at all: not heard, or a 5xx. A 4xx is an answer."""
    if isinstance(error, NetworkError):
        return True
    return isinstance(error, APIError) and error.status_code is not None and 500 <= error.status_code <= 599


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3) in seconds, between 0 and a minute; None when absent or unreadable.

    A date is read against the answer's own Date, so that a wrong clock on this machine does no harm.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), LONGEST_RETRY_AFTER)
    then = _http_date(value)
    if then is None:
        return None
    now = _http_date(headers.get("date", "")) or datetime.now(timezone.utc)
    return min(max((then - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    if not value:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
