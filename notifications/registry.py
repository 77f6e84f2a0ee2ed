"""Who must hear of an event, and in what words: other rooms hand that in when they start.

This room carries messages; what an approval is, it does not know.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from notifications.models import Announcement


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address. `subject` is one line of at most 200 characters; `text` is plain."""

    transport: Literal["email"]
    address: str
    subject: str
    text: str


Resolver = Callable[[Announcement], Iterable[Message]]
_resolvers: dict[str, Resolver] = {}


def register(prefix: str, resolver: Resolver) -> None:
    """Has `resolver` say who hears of events named `prefix`…, such as `approval.`"""
    _resolvers[prefix] = resolver


def messages(announcement: Announcement) -> list[Message]:
    """Everything owed for an announcement; nothing where nobody registered for it."""
    for prefix, resolver in _resolvers.items():
        if announcement.event.startswith(prefix):
            return list(resolver(announcement))
    return []
