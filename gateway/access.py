"""What is counted and logged of each request once its answer is known."""

import logging
import time
from typing import TYPE_CHECKING

import structlog

from agents.load import KeyFacts
from gateway import metrics
from gateway.authz import Query

if TYPE_CHECKING:
    from gateway.app import Request, Scope

log = structlog.get_logger(__name__)
plain = logging.getLogger(__name__)


def answered(request: "Request", scope: "Scope", status: int) -> None:
    """Counts the request, and says one line of it: always where the server failed, or refused a key that it knows; of
    all others at level debug."""
    seconds = time.perf_counter() - request.started
    key: KeyFacts | None = getattr(request, "key", None)
    live = key is not None and key.mode == "live"
    if live and (check := request.check) and (status == 200 or check.counted is metrics.REFUSED):
        metrics.checked(check.counted or metrics.REPEATED, seconds)
        if isinstance(check, Query):
            metrics.questioned(check.capability, check.denied)
    metrics.answered(request.endpoint, status, test=key is not None and not live)
    if status >= 500:
        log.warning("gateway.request", **_line(request, scope, status, seconds, key))
    elif key is not None and status >= 400 and status != 429:
        log.info("gateway.request", **_line(request, scope, status, seconds, key))
    elif plain.isEnabledFor(logging.DEBUG):  # a stranger, or an agent in a loop, must not be able to fill the disk
        log.debug("gateway.request", **_line(request, scope, status, seconds, key))


def _line(request: "Request", scope: "Scope", status: int, seconds: float, key: KeyFacts | None) -> dict[str, object]:
    return {
        "request_id": request.id.decode(),
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1_000, 1),
        "key": str(key.id) if key else None,
    }
