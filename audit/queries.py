"""Reads the record: pages, trails and walks, newest first by (at, id), the database's clock.

A search of several modes, actions or kinds is a union of ordered index scans, one for each, of which only the newest
rows are read: a page costs the same over ten events and over ten million.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from django.db import connection, transaction
from django.db.models import Case, F, Func, IntegerField, Q, QuerySet, TextField, Value, When
from django.db.models.lookups import LessThanOrEqual

from audit.leaf import Mode
from audit.models import Event
from audit.names import names
from audit.sentences import SENTENCES

PAGE = 50
PATIENCE = 3_000  # milliseconds one search may take
BRANCHES = 40  # index scans one search may be made of
BRIEF = 8_192  # bytes: longer bodies are read on the event's own page only


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
) -> Page:
    """The `size` events older than `after`, or newer than `before`, or the newest.

    What is added meanwhile never moves a row to another page. Raises django.db.OperationalError after PATIENCE.
    """
    backwards = before is not None
    place = _place(organization_id, before or after)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE)])
        rows = _take(_branches(organization_id, search), place, size + 1, backwards=backwards)
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


def trail(organization_id: uuid.UUID, *targets: str, limit: int = 100) -> list[Event]:
    """What happened to one thing (`apr_…`, `agt_…`): its events, newest first."""
    found = Event.objects.filter(organization_id=organization_id, target__in=[target for target in targets if target])
    return list(_brief(found).order_by("-at", "-id")[:limit])


def get(organization_id: uuid.UUID, event_id: uuid.UUID, mode: Mode) -> Event | None:
    """One event, whole, if it is of this organization and may be seen in this mode."""
    return Event.objects.filter(id=event_id, organization_id=organization_id, mode__in=[mode, ""]).first()


def _place(organization_id: uuid.UUID, event_id: uuid.UUID | None) -> Event | None:
    if event_id is None:
        return None
    return Event.objects.only("id", "at").filter(id=event_id, organization_id=organization_id).first()


def _branches(organization_id: uuid.UUID, search: Search) -> list[QuerySet[Event]]:
    found = Event.objects.filter(organization_id=organization_id)
    if search.since:
        found = found.filter(at__gte=search.since)
    if search.until:
        found = found.filter(at__lte=search.until)
    found = _who(found, search)
    if search.result:
        found = found.filter(result=search.result)
    if search.targets or search.ids:
        named = Q(id__in=search.ids) | (Q(target__in=search.targets) & ~Q(target=""))
        found = found.filter(named)
    modes = [search.mode, ""]
    actions = _below(search.action, ".", search.exact, lambda start: names(organization_id, modes, "action", start))
    kinds = _below(search.kind, ":", search.exact, lambda start: [kind for kind in SENTENCES if kind.startswith(start)])
    if search.targets or search.ids or len(modes) * len(actions) * len(kinds) > BRANCHES:
        # One selective look-up, or too many to look up one by one: conditions on one scan of each mode.
        found = _covers(_covers(found, "action", search.action, "."), "kind", search.kind, ":")
        return [found.filter(mode=mode) for mode in modes]
    return [found.filter(mode=mode, **action, **kind) for mode, action, kind in product(modes, actions, kinds)]


def _who(found: QuerySet[Event], search: Search) -> QuerySet[Event]:
    if search.agent:
        found = found.filter(agent=search.agent)
    if "@" in search.actor:
        return found.filter(actor=search.actor.lower()).exclude(actor_type="agent")
    if search.actor.lower() in ("warden", "system"):
        return found.filter(actor="Warden").exclude(actor_type="agent")
    if search.actor:
        return found.filter(actor_type="agent", agent=search.actor, actor=search.actor)
    return found


def _below(name: str, separator: str, exact: bool, known: Callable[[str], list[str]]) -> list[dict[str, str]]:
    """Conditions of which each names one value: `name` and, unless `exact`, every known name below it."""
    column = "action" if separator == "." else "kind"
    if not name:
        return [{}]
    return [{column: each} for each in [name, *([] if exact else known(name + separator))]]


def _covers(found: QuerySet[Event], column: str, name: str, separator: str) -> QuerySet[Event]:
    below = Q(**{column: name}) | Q(**{f"{column}__startswith": name + separator})
    return found.filter(below) if name else found


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
