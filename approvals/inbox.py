"""The inbox as queries: views, filters, search, facets, pages by key. Bounded work, however much was decided."""

import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from django.db import connection, transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Length
from django.http import QueryDict

from accounts.models import Membership, Team
from agents.models import Agent
from approvals import rules, states
from approvals.case import person_of
from approvals.models import Approval, Review, still_waits
from audit.ids import read_id

PAGE = 50
WINDOW = 10_000  # decided requests that a search or a facet looks at, newest first
PATIENCE_MS = 2_000
SOON = timedelta(minutes=15)
QUERY_LIMIT = 200
MANY = 1_000
CHOICES = 12  # of a facet, the most frequent
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHORT = 8_192  # a longer context is not read for its one line in the list

VIEWS = {
    "mine": "For me",
    "waiting": "Waiting",
    "soon": "Due soon",
    "high": "High risk",
    "decided": "Decided",
    "all": "All",
}
OPEN_VIEWS = {"mine", "waiting", "soon", "high"}
FACETS = {"agent": "agent_slug", "risk": "risk", "action": "action"}
RISKS = ["critical", "high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address asks for. Whatever it asks, reading it never fails."""

    view: str
    agent: str = ""
    risk: str = ""
    action: str = ""
    q: str = ""
    after: str = ""
    before: str = ""
    facets: str = ""

    @classmethod
    def read(cls, query: QueryDict, default: str) -> "Filters":
        given = {name: query.get(name, "").strip().replace("\0", "")[:QUERY_LIMIT] for name in cls.__slots__}
        if given["view"] not in VIEWS:
            given["view"] = default
        return cls(**given)

    @property
    def faceted(self) -> bool:
        return bool(self.agent or self.risk or self.action)

    @property
    def narrowed(self) -> bool:
        """Whether more than the view was asked for."""
        return self.faceted or bool(self.q)


@dataclass(slots=True)
class Page:
    """Some requests, in order, and where the neighbours begin."""

    approvals: Sequence[Approval]
    next_cursor: str = ""
    previous_cursor: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a facet, and how many there are of it."""

    value: str
    count: int
    chosen: bool


@dataclass
class Desk:
    """One person's inbox in one organization and mode, as of `now`, the database's clock."""

    membership: Membership
    mode: str
    now: datetime
    filters: Filters
    owned: frozenset[uuid.UUID] = field(init=False)

    def __post_init__(self) -> None:
        """Reads which agents are theirs: one small query."""
        user = self.membership.user_id
        mine = Q(owner_user_id=user) | Q(owner_team__members__user_id=user)
        agents = Agent.objects.filter(mine, organization_id=self.membership.organization_id)
        self.owned = frozenset(agents.values_list("id", flat=True))

    @cached_property
    def everything(self) -> QuerySet[Approval]:
        return Approval.objects.filter(organization_id=self.membership.organization_id, mode=self.mode)

    @cached_property
    def waiting(self) -> QuerySet[Approval]:
        return self.everything.filter(still_waits(self.now))

    @cached_property
    def may_decide(self) -> Q:
        """rules.can_person, as a condition; a test holds the two together."""
        person = person_of(self.membership.organization_id, self.membership.user_id)
        if not person.able:
            return Q(pk__in=[])
        may = _named(person)
        for lender in person.lenders:
            if lender.able:
                may |= _named(lender) & ~self._barred(lender.id) & ~_had_say(lender.id)
        return may & ~self._barred(person.id, self.owned) & ~_had_say(person.id)

    def _barred(self, user: uuid.UUID, owned: Collection[uuid.UUID] | None = None) -> Q:
        if self.membership.organization.single_operator_since:
            return Q(pk__in=[])
        agents = Q(agent__owner_user_id=user) | Q(agent__owner_team_id__in=_teams(user))
        own = agents if owned is None else Q(agent_id__in=owned)
        return Q(requesters__contains=[user]) | Q(editors__contains=[user]) | own

    def of_view(self, view: str) -> QuerySet[Approval]:
        match view:
            case "mine":
                return self.waiting.filter(self.may_decide)
            case "waiting":
                return self.waiting
            case "soon":
                return self.waiting.filter(expires_at__lte=self.now + SOON)
            case "high":
                return self.waiting.filter(risk__in=["high", "critical"])
            case "decided":
                return self.everything.exclude(state=states.PENDING)
            case _:
                return self.everything

    @property
    def order(self) -> tuple[str, ...]:
        """The columns of the order, ending in the id; a minus says newest first."""
        if self.filters.view in OPEN_VIEWS:
            return ("expires_at", "id")
        return ("-decided_at", "-id") if self.filters.view == "decided" else ("-id",)

    def _recent(self) -> QuerySet[Approval]:
        """The newest WINDOW of the view, of one agent where one was asked for: each a walk along one index."""
        rows = self.of_view(self.filters.view)
        if not self.filters.agent:
            return self.everything.filter(pk__in=rows.order_by(*self.order).values("pk")[:WINDOW])
        agents = Agent.objects.filter(organization_id=self.membership.organization_id, slug=self.filters.agent)
        of_agent = self.everything.filter(agent_id__in=list(agents.values_list("id", flat=True)))
        return rows.filter(pk__in=of_agent.order_by("-id").values("pk")[:WINDOW])

    @cached_property
    def bounded(self) -> bool:
        """Whether what is found is looked for among the newest only: what waits is few, what was decided is not."""
        return self.filters.view not in OPEN_VIEWS and self.filters.narrowed

    @cached_property
    def found(self) -> QuerySet[Approval]:
        """The view, searched; facets not applied yet."""
        rows = self._recent() if self.bounded else self.of_view(self.filters.view)
        return rows.filter(_mentions(self.filters.q)) if self.filters.q else rows

    @cached_property
    def matching(self) -> QuerySet[Approval]:
        chosen = {column: value for name, column in FACETS.items() if (value := getattr(self.filters, name))}
        return self.found.filter(**chosen)

    def page(self) -> Page:
        """One page of what matches, by key: as fast at the end of a million as at the beginning."""
        rows = self.matching.defer("context", "reasoning").annotate(
            size=Length("context"),
            short_context=Case(When(size__lte=SHORT, then=F("context")), default=Value("{}"), output_field=TextField()),
        )
        back = bool(self.filters.before)
        cursor = _read_cursor(self.filters.before or self.filters.after)
        if cursor:
            rows = rows.filter(_beyond(self.order, cursor, back=back))
        order = [_turned(column) for column in self.order] if cursor and back else self.order
        found = list(rows.order_by(*order)[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE]
        if cursor and back:
            found.reverse()
        has_next, has_previous = (bool(cursor), more) if cursor and back else (more, bool(cursor))
        return Page(
            found,
            next_cursor=self._cursor(found[-1]) if found and has_next else "",
            previous_cursor=self._cursor(found[0]) if found and has_previous else "",
        )

    def _cursor(self, approval: Approval) -> str:
        first = getattr(approval, self.order[0].removeprefix("-"))
        moment = (first - EPOCH) // timedelta(microseconds=1) if isinstance(first, datetime) else 0
        return f"{moment}~{approval.approval_id}"

    def facets(self) -> dict[str, list[Choice]]:
        """How many there are of each agent, risk and action; each counted under the other two filters."""
        rows = self.found if self.bounded or self.filters.view in OPEN_VIEWS else self._recent()
        groups = list(rows.order_by().values_list(*FACETS.values()).annotate(Count("pk")))
        names, chosen = list(FACETS), [getattr(self.filters, name) for name in FACETS]
        facets = {}
        for at, name in enumerate(names):
            counts: Counter[str] = Counter()
            for *values, count in groups:
                if all(i == at or not wanted or wanted == values[i] for i, wanted in enumerate(chosen)):
                    counts[values[at]] += count
            if chosen[at]:
                counts.setdefault(chosen[at], 0)
            if name == "risk":
                ordered = sorted(counts.items(), key=lambda each: RISKS.index(each[0]) if each[0] in RISKS else 9)
            else:
                ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
            choices = [Choice(value, count, value == chosen[at]) for value, count in ordered]
            facets[name] = [choice for n, choice in enumerate(choices) if n < CHOICES or choice.chosen]
        return facets

    def counts(self) -> dict[str, int]:
        """How many each view of what waits holds, counted up to MANY."""
        return {view: self.of_view(view).order_by()[:MANY].count() for view in VIEWS if view in OPEN_VIEWS}

    def came_since(self, moment: datetime) -> int:
        """How many of what matches were made after `moment`."""
        return self.matching.filter(created_at__gt=moment).count()

    def next_after(self, approval: Approval) -> Approval | None:
        """The next request this person may decide, by deadline; from the top when there is none after."""
        mine = self.of_view("mine").exclude(pk=approval.pk).order_by("expires_at", "id").only("id")
        later = Q(expires_at__gt=approval.expires_at) | Q(expires_at=approval.expires_at, id__gt=approval.id)
        return mine.filter(later).first() or mine.first()


def _named(person: rules.Person) -> Q:
    """Whether the rule, or a step that was reached, names them."""
    teams = sorted(map(str, person.teams))
    whom = [
        {"roles": [person.role]},
        {"people": [{"id": str(person.id)}]},
        *({"teams": [{"id": id_}]} for id_ in teams),
    ]
    named = Q(added__roles__contains=person.role) | Q(added__people__contains=str(person.id))
    for team in teams:
        named |= Q(added__teams__contains=team)
    for who in whom:
        named |= Q(rule__contains=who) | Q(rule__alternatives__contains=[who])
    return named


def _teams(user: uuid.UUID) -> QuerySet[Team, uuid.UUID]:
    return Team.objects.filter(members__user_id=user).values_list("id", flat=True)


def _had_say(user: uuid.UUID) -> Q:
    votes = Review.objects.filter(approval=OuterRef("pk"), voided_at=None)
    return Q(Exists(votes.filter(Q(user_id=user) | Q(on_behalf_of_id=user))))


@contextmanager
def patience() -> Iterator[None]:
    """Gives each query within PATIENCE_MS: a page that cannot be had says so, and the desk goes on.

    Raises django.db.OperationalError.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        yield
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")


def _mentions(text: str) -> Q:
    if approval_id := read_id("apr", text):
        return Q(id=approval_id)
    written = json.dumps(text, ensure_ascii=False)[1:-1]  # as it stands in the canonical JSON of a context
    return (
        Q(action__icontains=text)
        | Q(agent_slug__icontains=text)
        | Q(context__icontains=written)
        | Q(reasoning__icontains=text)
    )


def _read_cursor(text: str) -> tuple[datetime, uuid.UUID] | None:
    """A place in the order; None for what is not one: the first page is shown."""
    moment, _, approval_id = text.partition("~")
    key = read_id("apr", approval_id)
    if key is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=int(moment)), key
    except (ValueError, OverflowError):
        return None


def _turned(column: str) -> str:
    return column.removeprefix("-") if column.startswith("-") else f"-{column}"


def _beyond(order: tuple[str, ...], cursor: tuple[datetime, uuid.UUID], *, back: bool) -> Q:
    moment, key = cursor
    way = "lt" if order[-1].startswith("-") != back else "gt"
    past = Q(**{f"id__{way}": key})
    if len(order) == 1:
        return past
    column = order[0].removeprefix("-")
    # The first half alone lets the index find the place; the second decides among equals.
    return Q(**{f"{column}__{way}e": moment}) & (Q(**{f"{column}__{way}": moment}) | past)
