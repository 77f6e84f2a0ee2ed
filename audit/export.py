"""The record as JSON Lines, streamed: one list of rows in memory at a time, however long the record."""

import uuid
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async

from audit.models import Event
from audit.queries import Search, walk


def lines(organization_id: uuid.UUID, search: Search) -> Iterator[bytes]:
    """`{"event": …, "leaf": "…"}` a line, newest first. `event` is the canonical body, byte for byte."""
    for events in walk(organization_id, search):
        yield "".join(map(_line, events)).encode()


def _line(event: Event) -> str:
    return f'{{"event":{event.body},"leaf":"{bytes(event.leaf).hex()}"}}\n'


async def stream(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """`chunks`, each made when the reader is ready for it."""
    after = sync_to_async(lambda: next(chunks, None))
    while (chunk := await after()) is not None:
        yield chunk
