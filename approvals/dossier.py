"""Everything a person needs to decide one request, and what became of it."""

import json
import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.models import Membership
from agents.words import rule_sentence, step_sentence
from approvals import comments, editing, rules, states
from approvals.case import case_of, person_of
from approvals.glass import ladder
from approvals.models import Approval, BreakGlass, Comment, Edit, Grant, Review
from approvals.rows import Row, row
from approvals.uncovering import Shown, shown
from audit.clock import database_now
from audit.models import Event
from audit.proofs import command, mark
from audit.queries import trail

SIMILAR = 20
TRAIL, LOGS = 100, 20  # an agent may log as often as it likes; the audit page has the rest
ASKED, LOGGED = "agent:check:ask", "agent:action:log"


@dataclass(frozen=True, slots=True)
class Similar:
    """What the latest requests of the same agent for the same action came to. `median` is of those people decided."""

    total: int
    counts: list[tuple[str, int]]
    median: str


@dataclass(frozen=True, slots=True)
class Said:
    """A review, and whether it still counts."""

    review: Review
    counts: bool


@dataclass(frozen=True, slots=True)
class Talk:
    """What was said, oldest first. `why_not` is empty where this person may join in."""

    comments: list[Comment]
    why_not: str
    asks: bool


@dataclass(frozen=True, slots=True)
class Due:
    """A step of the escalation in words, when it is due, and whether it was reached."""

    words: str
    at: datetime
    reached: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """`own`: this person has a part in what is asked, which counts where one person is enough too."""

    row: Row
    rule: rules.Rule
    words: str
    steps: list[Due]
    similar: Similar
    reviews: list[Said]
    trail: list[Event]
    asked_again: int
    logs: list[Event]
    talk: Talk
    edits: list[Edit]
    asked: dict[str, Any] | None
    editable: bool
    shown: Shown
    grant: Grant | None
    broken: BreakGlass | None
    may_break_glass: bool
    own: bool
    follows: Approval | None
    followed_by: Approval | None

    @property
    def approval(self) -> Approval:
        return self.row.approval

    @property
    def proved(self) -> Event | None:
        """The newest of what was asked, decided and taken that a checkpoint covers."""
        steps = (event for event in self.trail if event.kind == ASKED or ":approval:" in event.kind)
        return next((event for event in steps if event.proved_at), None)

    @property
    def verify(self) -> str:
        """The command that checks it; empty where there is none."""
        return command(self.proved) if self.proved else ""


def dossier(approval: Approval, membership: Membership, now: datetime) -> Dossier:
    """Reads it all as of `now`, the database's clock: small queries, each on an index."""
    case = case_of(approval, membership.organization)
    person = person_of(membership.organization_id, membership.user_id)
    line = row(approval, case, person, now)
    events = Event.objects.filter(organization_id=approval.organization_id, target=approval.approval_id)
    asked = events.filter(kind=ASKED).order_by("at", "id")[:1]
    return Dossier(
        row=line,
        rule=case.rule,
        words=rule_sentence({**approval.rule, "escalation": []}),
        steps=[
            Due(step_sentence(snapshot), approval.began_at + step.after, number < approval.escalated)
            for number, (snapshot, step) in enumerate(
                zip(approval.rule.get("escalation", ()), case.rule.steps, strict=True)
            )
        ],
        similar=similar(approval),
        reviews=[
            Said(review, review.voided_at is None and review.user_id in line.tally.counted)
            for review in approval.reviews.select_related("user", "on_behalf_of").order_by("id")
        ],
        trail=[*trail(approval.organization_id, approval.approval_id, limit=TRAIL, but=[ASKED]), *mark(list(asked))],
        asked_again=max(0, events.filter(kind=ASKED).count() - 1),
        logs=list(events.filter(kind=LOGGED).order_by("at", "id")[:LOGS]),
        talk=talk(approval, membership),
        edits=list(approval.edits.select_related("user").order_by("id")),
        asked=json.loads(approval.asked_context) if approval.is_edited else None,
        editable=not approval.is_covered and bool(editing.fields(case.rule, approval.context_data)),
        shown=shown(approval, membership, now),
        grant=Grant.objects.filter(approval=approval).first(),
        broken=BreakGlass.objects.filter(Q(approval=approval) | Q(instead_of=approval)).order_by("-id").first(),
        may_break_glass=not ladder.why_not(case, person, now),
        own=person.id in case.chain,
        follows=approval.follows,
        followed_by=approval.followed_by.first() if approval.code == states.CHANGES else None,
    )


def talk(approval: Approval, membership: Membership) -> Talk:
    """The conversation about one request, for one person."""
    is_open = rules.current_state(approval.state, approval.deadline, database_now()) == states.PENDING
    return Talk(list(approval.comments.order_by("id")), comments.why_not(membership.role), is_open)


def similar(approval: Approval) -> Similar:
    """The last twenty others of the same agent, action and mode that have ended."""
    latest = list(
        Approval.objects.filter(
            organization_id=approval.organization_id,
            mode=approval.mode,
            agent_id=approval.agent_id,
            action=approval.action,
        )
        .exclude(pk=approval.pk)
        .exclude(state=states.PENDING)
        .order_by("-id")
        .values_list("state", "created_at", "decided_at")[:SIMILAR]
    )
    ended = [state for state, _, _ in latest]
    took = [
        (decided - made).total_seconds()
        for state, made, decided in latest
        if decided and state in (states.APPROVED, states.DENIED)
    ]
    return Similar(
        total=len(latest),
        counts=[(state, ended.count(state)) for state in states.STATES if state in ended],
        median=_roughly(statistics.median(took)) if took else "",
    )


def _roughly(seconds: float) -> str:
    """`48 s`, `4 min`, `3 h`, `2 d`."""
    for unit, size in (("s", 1), ("min", 60), ("h", 3_600)):
        if seconds < size * (90 if size < 3_600 else 36):
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{round(seconds / 86_400)} d"
