"""What happened and has to be told: a row in the transaction of what it announces."""

import uuid
from collections.abc import Iterable

from django.db import connection

from notifications.models import Announcement

News = tuple[uuid.UUID, str, str, str]


def announce(news: Iterable[News]) -> None:
    """Owes people the news: (organization id, mode, event such as `approval.approved`, target such as `apr_01J…`) each.

    Raises RuntimeError outside a transaction: news of what was then rolled back would be a lie.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("announce() outside a transaction: it could tell of what never happened")
    Announcement.objects.bulk_create(
        Announcement(organization_id=organization_id, mode=mode, event=event, target=target)
        for organization_id, mode, event, target in news
    )
