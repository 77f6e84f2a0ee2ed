"""What /api answers with, a module a subject."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

Moment = Annotated[datetime, Meta(tz=True)]


def plain(amount: Decimal | None) -> Decimal | None:
    """Without the zeros that the column adds, and never in powers of ten."""
    return None if amount is None else Decimal(format(amount.normalize(), "f"))
