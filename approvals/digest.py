"""The action digest: what is shown, stored, decided, claimed and named by a receipt is this, or is refused."""

import hashlib
import uuid
from typing import Any

from audit.canonical import canonical


def digest(
    *,
    organization_id: uuid.UUID,
    mode: str,
    agent_id: uuid.UUID,
    action: str,
    callee: str | None,
    environment: str,
    context: dict[str, Any],
    permission_id: str,
    request_id: uuid.UUID | None = None,
) -> str:
    """SHA-256, in hex, of RFC 8785 JSON over what an approval is about.

    `request_id`: of what was asked over AAP, where each call is a request of its own.
    Raises ValueError where the context has no canonical form.
    """
    text = canonical(
        {
            "organization": str(organization_id),
            "mode": mode,
            "agent": str(agent_id),
            "action": action,
            "callee": callee or "",
            "environment": environment,
            "context": context,
            "permission": permission_id,
            **({"request": str(request_id)} if request_id else {}),
        }
    )
    return hashlib.sha256(text.encode()).hexdigest()
