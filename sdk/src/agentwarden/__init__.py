"""Ask Warden before an agent acts: check, wait for a person, claim, act, log.

    from agentwarden import AgentWarden

    with AgentWarden() as guard:
        if guard.check("customer-support-bot", "stripe.refund", {"amount": 42.5}):
            ...

Whatever goes wrong, the answer is never an allow: a call returns what Warden said, or raises.
Names are imported when first used, so that `import agentwarden` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._async_client import AsyncAgentWarden
    from ._batch import BatchResult
    from ._client import AgentWarden
    from ._error_context import error_context
    from ._errors import (
        AgentNotFoundError,
        AgentWardenError,
        APIError,
        ApprovalRequiredError,
        AuthenticationError,
        BatchError,
        NetworkError,
        PermissionDeniedError,
        RateLimitError,
        ReceiptError,
        ValidationError,
    )
    from ._models import Approval, CheckResult, Claim, Comment, Identity, LogResult
    from ._receipts import Receipt, UsedReceipts, verify_receipt
    from ._version import __version__

__all__ = [
    "APIError",
    "AgentNotFoundError",
    "AgentWarden",
    "AgentWardenError",
    "Approval",
    "ApprovalRequiredError",
    "AsyncAgentWarden",
    "AuthenticationError",
    "BatchError",
    "BatchResult",
    "CheckResult",
    "Claim",
    "Comment",
    "Identity",
    "LogResult",
    "NetworkError",
    "PermissionDeniedError",
    "RateLimitError",
    "Receipt",
    "ReceiptError",
    "UsedReceipts",
    "ValidationError",
    "__version__",
    "error_context",
    "verify_receipt",
]

_HOMES = {
    "Receipt": "_receipts",
    "UsedReceipts": "_receipts",
    "verify_receipt": "_receipts",
    "AgentWarden": "_client",
    "Approval": "_models",
    "AsyncAgentWarden": "_async_client",
    "BatchResult": "_batch",
    "CheckResult": "_models",
    "Claim": "_models",
    "Comment": "_models",
    "Identity": "_models",
    "LogResult": "_models",
    "__version__": "_version",
    "error_context": "_error_context",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES.get(name, '_errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
