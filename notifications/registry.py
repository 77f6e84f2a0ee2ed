"""Topics: what can be told of events, to whom it matters, and in what words. Other rooms hand theirs in at start.

This room carries messages; what an approval is, it does not know.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.models import Membership, Organization, User
from notifications.models import Announcement, Delivery


@dataclass(frozen=True, slots=True)
class Facts:
    """What routes an announcement: channels are matched by the agent's side, people are named.

    `channels` None: every channel whose filter lets it through; a set: exactly these, whatever their filters say.
    `in_digest`: a digest says it too (it waits), so that people who chose one get no mail of its own.
    `is_past`: it would ask people for what is over; machines (webhooks) are told all the same.
    """

    agent_id: uuid.UUID | None = None
    teams: frozenset[uuid.UUID] = frozenset()
    risk: str = ""
    environment: str = ""
    people: tuple[Membership, ...] = ()
    channels: frozenset[uuid.UUID] | None = None
    in_digest: bool = False
    is_past: bool = False

    @property
    def is_urgent(self) -> bool:
        """Whether it may break quiet hours."""
        return self.risk == "critical"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail: a subject of one line, plain text, HTML. Mails about one `target` make one thread by themselves."""

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One line of a digest: what waits for this person, where it is decided, and by when."""

    words: str
    url: str
    due_at: datetime
    risk: str = ""


class Topic:
    """What a room can tell of its events. Its methods are called off the hot path and may read the database."""

    def facts(self, announcement: Announcement) -> Facts | None:
        """Who and what it concerns; None when there is nothing to tell (any more)."""
        raise NotImplementedError

    def is_past(self, announcement: Announcement) -> bool:
        """Whether there is nothing to ask people for (any more): asked before each message, so it should be cheap."""
        facts = self.facts(announcement)
        return facts is None or facts.is_past

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        """The mail, to a person or (None) to a channel."""
        raise NotImplementedError

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        """The `data` of a webhook: JSON."""
        raise NotImplementedError

    def page(self, announcement: Announcement) -> str:
        """The path of the page of what it is about; empty where there is none."""
        return ""


@dataclass(slots=True)
class _Registry:
    topics: dict[str, Topic] = field(default_factory=dict)
    cards: dict[str, Callable[[Announcement], Any]] = field(default_factory=dict)
    digests: list[Callable[[Membership, str], Iterable[Waiting]]] = field(default_factory=list)
    events: dict[str, str] = field(default_factory=dict)
    further: list[Callable[[Announcement], Iterable[Delivery]]] = field(default_factory=list)


_registry = _Registry()


def register(prefix: str, topic: Topic, events: dict[str, str] | None = None) -> None:
    """Has `topic` tell of events named `prefix`…, such as `approval.`; `events`: what channels may choose."""
    _registry.topics[prefix] = topic
    _registry.events |= events or {}


def register_card(prefix: str, render: Callable[[Announcement], Any]) -> None:
    """Has `render` make the Slack card of events named `prefix`…, at the moment it is sent."""
    _registry.cards[prefix] = render


def register_digest(waiting: Callable[[Membership, str], Iterable[Waiting]]) -> None:
    """Has `waiting(membership, mode)` say what waits for a person when a digest is written."""
    if waiting not in _registry.digests:
        _registry.digests.append(waiting)


def register_further(owed: Callable[[Announcement], Iterable[Delivery]]) -> None:
    """Has `owed(announcement)` say to whom else an announcement is owed, besides people and channels."""
    if owed not in _registry.further:
        _registry.further.append(owed)


def further(announcement: Announcement) -> list[Delivery]:
    """What is owed for an announcement besides what people and channels are."""
    return [delivery for owed in _registry.further for delivery in owed(announcement)]


def topic_of(event: str) -> Topic | None:
    """The topic of an event; None where nobody registered for it."""
    return _longest(_registry.topics, event)


def card_of(event: str) -> Callable[[Announcement], Any] | None:
    """What renders the Slack card of an event; None: the words of its mail do."""
    return _longest(_registry.cards, event)


def waiting_for(membership: Membership, mode: str) -> list[Waiting]:
    """Everything that waits for a person, soonest deadline first."""
    found = [line for waiting in _registry.digests for line in waiting(membership, mode)]
    return sorted(found, key=lambda line: line.due_at)


def events() -> dict[str, str]:
    """The events that channels may choose, and what each means in words."""
    return dict(_registry.events)


def members_who(organization: Organization, ability: str) -> tuple[Membership, ...]:
    """Active members whose role has that ability, such as the admins by `settings:write`."""
    members = Membership.objects.filter(organization=organization, user__is_active=True).select_related("user")
    return tuple(member for member in members.order_by("user__email") if member.may(ability))


def _longest[T](entries: dict[str, T], event: str) -> T | None:
    prefixes = [prefix for prefix in entries if event.startswith(prefix)]
    return entries[max(prefixes, key=len)] if prefixes else None
