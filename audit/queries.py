"""Reads the record: pages, trails and walks, newest first by (at, id), the database's clock.

A search of several modes, actions or kinds is a union of ordered index scans, one for each, of which only the newest
rows are read: a page costs the same over ten events and over ten million.
"""

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import connection, transaction
from django.db.models import Case, F, Func, IntegerField, Q, QuerySet, TextField, Value, When
from django.db.models.lookups import LessThanOrEqual

from audit.ids import read_id
from audit.leaf import Mode
from audit.models import FREQUENT_KINDS, Event
from audit.names import names
from audit.proofs import mark

PAGE = 50
PATIENCE = 3_000  # milliseconds one search may take
BRANCHES = 64  # index scans one search may be made of
BRIEF = 8_192  # bytes: longer bodies are read on the event's own page only
SEPARATORS = {"action": ".", "kind": ":"}


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. Empty is any. `action` and `kind` find what is below them too, unless `exact`."""

    mode: Mode
    actor: str = ""
    agent: str = ""
    action: str = ""
    kind: str = ""
    result: str = ""
    targets: tuple[str, ...] = ()
    ids: tuple[uuid.UUID, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some events and the cursors of its neighbours: identifiers of the outermost events, or None."""

    events: list[Event]
    previous_cursor: str | None
    next_cursor: str | None


def find(
    organization_id: uuid.UUID,
    search: Search,
    *,
    after: uuid.UUID | None = None,
    before: uuid.UUID | None = None,
    size: int = PAGE,
    whole: bool = False,
) -> Page:
    """The `size` events older than `after`, or newer than `before`, or the newest; with all of long bodies if `whole`.

    What is added meanwhile never moves a row to another page. Raises django.db.OperationalError after PATIENCE.
    """
    backwards = before is not None
    place = _place(organization_id, before or after)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE)])
        rows = _take(_branches(organization_id, search), place, size + 1, backwards=backwards, whole=whole)
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    newer = more if backwards else place is not None
    older = backwards or more
    return Page(
        rows,
        rows[0].event_id if rows and newer else None,
        rows[-1].event_id if rows and older else None,
    )


def walk(organization_id: uuid.UUID, search: Search, *, size: int = 500) -> Iterator[list[Event]]:
    """Every event of a search, in lists of at most `size`, each with its whole body. No transaction spans the walk."""
    branches = _branches(organization_id, search)
    place: Event | None = None
    while rows := _take(branches, place, size, whole=True):
        yield rows
        place = rows[-1]


def skip(organization_id: uuid.UUID, search: Search, *, offset: int, size: int) -> list[Event]:
    """The `size` events after the newest `offset`, for clients that count. Cost grows with `offset`."""
    places = [branch.only("id", "at") for branch in _branches(organization_id, search)]
    ids = [row.id for row in _union(places, offset + size)[offset:]]
    return list(Event.objects.filter(id__in=ids).order_by("-at", "-id"))


def trail(organization_id: uuid.UUID, *targets: str, limit: int = 100, but: Collection[str] = ()) -> list[Event]:
    """What happened to one thing (`apr_…`, `agt_…`): its events, newest first. A decision's own event is among them.

    `but`: kinds that are left out.
    """
    named = [target for target in targets if target]
    decisions = [number for target in named if (number := read_id("dec", target))]
    found = _brief(Event.objects.filter(organization_id=organization_id).exclude(kind__in=but))
    about, themselves = found.filter(target__in=named), found.filter(id__in=decisions).exclude(target__in=named)
    return mark(list(_union([about, themselves] if decisions else [about], limit)))


def get(organization_id: uuid.UUID, event_id: uuid.UUID, mode: Mode) -> Event | None:
    """One event, whole, if it is of this organization and may be seen in this mode."""
    return Event.objects.filter(id=event_id, organization_id=organization_id, mode__in=[mode, ""]).first()


def _place(organization_id: uuid.UUID, event_id: uuid.UUID | None) -> Event | None:
    if event_id is None:
        return None
    return Event.objects.only("id", "at").filter(id=event_id, organization_id=organization_id).first()


def _branches(organization_id: uuid.UUID, search: Search) -> list[QuerySet[Event]]:
    """What is looked for, as scans that each follow one index from its newest row."""
    found = Event.objects.filter(organization_id=organization_id)
    if search.since:
        found = found.filter(at__gte=search.since)
    if search.until:
        found = found.filter(at__lte=search.until)
    if search.agent:
        found = found.filter(agent=search.agent)
    if search.result:
        found = found.filter(result=search.result)
    if search.targets or search.ids:
        found = found.filter(Q(id__in=search.ids) | (Q(target__in=search.targets) & ~Q(target="")))
    branches = [
        found.filter(action, kind, who, mode=mode)
        for mode in (search.mode, "")
        for action in _named(organization_id, mode, "action", search.action, search.exact)
        for kind in _named(organization_id, mode, "kind", search.kind, search.exact)
        for who in _who(search.actor)
    ]
    if len(branches) <= BRANCHES:
        return branches
    # Too many to follow one by one: so many that any scan meets them soon.
    found = found.filter(_below("action", search.action), _below("kind", search.kind))
    return [found.filter(who, mode=mode) for mode in (search.mode, "") for who in _who(search.actor)]


def _who(actor: str) -> list[Q]:
    """An agent is found by its slug; people and the system by their own index."""
    if not actor:
        return [Q()]
    other = Q(actor=actor.lower() if "@" in actor else actor) & ~Q(actor_type="agent")
    return [other] if "@" in actor else [other, Q(actor_type="agent", agent=actor)]


def _named(organization_id: uuid.UUID, mode: str, column: Literal["action", "kind"], name: str, exact: bool) -> list[Q]:
    """Conditions that each name one value: `name` and, unless `exact`, every name below it that there is."""
    if not name:
        return [Q()]
    if exact:
        return [Q(**{column: name})]
    start = name + SEPARATORS[column]
    if column == "kind" and any(kind.startswith(start) for kind in FREQUENT_KINDS):
        return [_below(column, name)]  # most rows are of it: any scan meets it soon
    return [Q(**{column: each}) for each in [name, *names(organization_id, mode, column, start)]]


def _below(column: str, name: str) -> Q:
    return Q(**{column: name}) | Q(**{f"{column}__startswith": name + SEPARATORS[column]}) if name else Q()


def _take(
    branches: list[QuerySet[Event]], place: Event | None, count: int, *, backwards: bool = False, whole: bool = False
) -> list[Event]:
    if place:
        # The row comparison of SQL, spelled so that the index serves its first half.
        beyond = (
            Q(at__gte=place.at) & (Q(at__gt=place.at) | Q(id__gt=place.id))
            if backwards
            else Q(at__lte=place.at) & (Q(at__lt=place.at) | Q(id__lt=place.id))
        )
        branches = [branch.filter(beyond) for branch in branches]
    if not whole:
        branches = [_brief(branch) for branch in branches]
    return list(_union(branches, count, backwards=backwards))


def _union(branches: list[QuerySet[Event]], count: int, *, backwards: bool = False) -> QuerySet[Event]:
    order = ("at", "id") if backwards else ("-at", "-id")
    first, *rest = [branch.order_by(*order)[:count] for branch in branches]
    return first.union(*rest, all=True).order_by(*order)[:count] if rest else first


def _brief(found: QuerySet[Event]) -> QuerySet[Event]:
    """Leaves long bodies behind: octet_length reads no TOAST."""
    size = Func(F("body"), function="octet_length", output_field=IntegerField())
    return found.defer("body", "leaf").annotate(
        brief=Case(When(LessThanOrEqual(size, BRIEF), then=F("body")), default=Value(""), output_field=TextField())
    )
