"""What the commands of the external OPA say of it."""

from typing import Any

from agents.models import ExternalOpa


def as_opa(row: ExternalOpa) -> dict[str, Any]:
    """It, for scripts."""
    who = row.set_by.email if row.set_by else None
    return row.facts.content | {"set_at": row.set_at.isoformat(), "set_by": who}


def as_lines(row: ExternalOpa) -> str:
    """It, in words."""
    return "\n".join(f"{name}: {value}" for name, value in as_opa(row).items() if value not in ("", None))
