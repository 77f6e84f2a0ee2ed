"""The record as JSON Lines, streamed: one list of rows in memory at a time, however long the record."""

import uuid
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async

from audit.canonical import canonical
from audit.log import Leaf
from audit.models import Event
from audit.queries import Search, walk
from audit.sequenced import log_name


def lines(organization_id: uuid.UUID, search: Search) -> Iterator[bytes]:
    """`{"index": …, "leaf": "…", "log": "…", "event": …}` a line, newest first.

    `event` is the canonical body, byte for byte; `index` is null where the event is not in order yet.
    """
    for events in walk(organization_id, search):
        places = dict(Leaf.objects.filter(event_id__in=[event.id for event in events]).values_list("event_id", "index"))
        yield "".join(_line(event, places.get(event.id)) for event in events).encode()


def _line(event: Event, index: int | None) -> str:
    head = canonical({"index": index, "leaf": bytes(event.leaf).hex(), "log": log_name(event.mode)})
    return f'{head[:-1]},"event":{event.body}}}\n'


async def stream(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """`chunks`, each made when the reader is ready for it."""
    after = sync_to_async(lambda: next(chunks, None))
    while (chunk := await after()) is not None:
        yield chunk
