"""What the commands about absences share."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from accounts.models import Delegation
from audit.ids import show_id


def moment(text: str) -> datetime:
    """An argument such as 2027-01-31T12:00Z; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a time such as 2027-01-31T12:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def as_json(row: Delegation) -> dict[str, Any]:
    return {
        "id": show_id("dlg", row.id),
        "email": row.delegator.user.email,
        "starts_at": row.starts_at.isoformat(),
        "ends_at": row.ends_at.isoformat(),
        "delegates": sorted(each.user.email for each in row.delegates.select_related("user")),
        "note": row.note,
    }


def words(row: Delegation) -> str:
    """`ann@example.com is away until 2027-01-31 12:00 UTC; bob@example.com may decide for them`."""
    said = as_json(row)
    period = f"from {row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M} UTC"
    meanwhile = f"; {', '.join(said['delegates'])} may decide for them" if said["delegates"] else ""
    return f"{said['email']} is away {period}{meanwhile}"
