"""Who may decide what, and when: a ladder of rules over plain data. No ORM, no clock, no settings.

May this *state* change → may this *person* → is this *what they were shown* → was a *reason* given where one is due.
Each rung is a pair: `check_…` raises `Refused` with a sentence for the person, `can_…` says yes or no.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, get_args

from accounts import roles
from approvals import states

Verdict = Literal["approve", "deny"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
REASON_LIMIT = 2_000  # characters


class Refused(Exception):
    """This person may not do this. `reason` is a sentence for them, `code` a word for programs."""

    status: ClassVar[int] = 403

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


class Conflict(Refused):
    """What they saw is no longer so: decided first, expired, or not what they were shown."""

    status = 409


class Incomplete(Refused):
    """The form lacks something, or has too much of it."""

    status = 422


@dataclass(frozen=True, slots=True)
class Step:
    """Who else may decide, once nobody did for so long."""

    after: timedelta
    roles: frozenset[str] = frozenset()
    teams: frozenset[uuid.UUID] = frozenset()
    people: frozenset[uuid.UUID] = frozenset()

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Step":
        return cls(
            after=timedelta(minutes=int(snapshot["after_minutes"])),
            roles=frozenset(snapshot.get("roles", ())),
            teams=frozenset(uuid.UUID(team["id"]) for team in snapshot.get("teams", ())),
            people=frozenset(uuid.UUID(person["id"]) for person in snapshot.get("people", ())),
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """An approval rule, as a request keeps it. What is missing or odd in a snapshot reads as the stricter."""

    name: str = "Default"
    roles: frozenset[str] = frozenset()
    approvals: int = 1
    denials: int = 1
    reason_to_approve: bool = False
    reason_to_deny: bool = True
    minutes: int = 60
    steps: tuple[Step, ...] = ()

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Rule":
        return cls(
            name=str(snapshot.get("name", "Default")),
            roles=frozenset(snapshot.get("roles", ())),
            approvals=max(1, int(snapshot["approvals"])),
            denials=max(1, int(snapshot["denials"])),
            reason_to_approve=bool(snapshot.get("reason_to_approve", True)),
            reason_to_deny=bool(snapshot.get("reason_to_deny", True)),
            minutes=int(snapshot.get("minutes", 60)),
            steps=tuple(Step.read(step) for step in snapshot.get("escalation", ())),
        )

    def needs_reason(self, verdict: Verdict) -> bool:
        return self.reason_to_approve if verdict == "approve" else self.reason_to_deny

    def lets(self, role: str | None) -> bool:
        """Whether people of that role may decide. Naming a role that cannot decide at all does not make it able."""
        return role is not None and role in self.roles and roles.may(role, "approvals:decide")

    def reached(self, waited: timedelta) -> int:
        """How many steps are due once a request has waited so long."""
        return sum(step.after <= waited for step in self.steps)

    def added(self, escalated: int) -> Step:
        """All that the first `escalated` steps add, as one."""
        taken = self.steps[:escalated]
        return Step(
            after=taken[-1].after if taken else timedelta(),
            roles=frozenset[str]().union(*(step.roles for step in taken)),
            teams=frozenset[uuid.UUID]().union(*(step.teams for step in taken)),
            people=frozenset[uuid.UUID]().union(*(step.people for step in taken)),
        )


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the desk. `role` is theirs in the organization now; None for a stranger."""

    id: uuid.UUID
    role: str | None


@dataclass(frozen=True, slots=True)
class Vote:
    """What somebody said, and the role they have now."""

    person: Person
    verdict: Verdict
    digest: str


@dataclass(frozen=True, slots=True)
class Case:
    """One request, as the rules see it."""

    state: str
    expires_at: datetime
    digest: str
    rule: Rule
    requesters: frozenset[uuid.UUID] = frozenset()
    owners: frozenset[uuid.UUID] = frozenset()
    votes: tuple[Vote, ...] = ()
    escalated: int = 0  # steps of the rule that were reached
    added: frozenset[uuid.UUID] = frozenset()  # people whom those steps name, by themselves or by a team of theirs now
    paused: bool = False
    decided_at: datetime | None = None
    decided_by: str = ""

    @property
    def wide(self) -> Rule:
        """The rule with the roles that the reached steps add."""
        return replace(self.rule, roles=self.rule.roles | self.rule.added(self.escalated).roles)

    def lets(self, person: Person) -> bool:
        """Whether they may decide by their role, or were added. Who cannot decide at all is not made able by it."""
        named = person.id in self.added and person.role is not None and roles.may(person.role, "approvals:decide")
        return named or self.wide.lets(person.role)


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes that count, and what they come to: a final state, or None while more are needed."""

    approvals: int
    denials: int
    outcome: str | None
    counted: frozenset[uuid.UUID] = field(default_factory=frozenset)


def current_state(state: str, expires_at: datetime, now: datetime) -> str:
    """The state as of now: a request past its deadline is expired, whether or not the sweep has come by."""
    return states.EXPIRED if state == states.PENDING and expires_at <= now else state


# May this state change?


def check_change(case: Case, now: datetime) -> None:
    state = current_state(case.state, case.expires_at, now)
    if state == states.PENDING:
        return
    if state == states.EXPIRED:
        raise Conflict(f"This request expired at {_clock(case.expires_at)}, undecided.", "expired")
    if state == states.CANCELLED:
        raise Conflict("The agent gave this request up; there is nothing left to decide.", "cancelled")
    word = states.STATES[state].lower()
    who = f" by {case.decided_by}" if case.decided_by else ""
    when = f" at {_clock(case.decided_at)}" if case.decided_at else ""
    raise Conflict(f"This request was already {word}{who}{when}.", "decided")


def can_change(case: Case, now: datetime) -> bool:
    return _passes(check_change, case, now)


# May this person decide?


def check_person(case: Case, person: Person) -> None:
    if person.role is None:
        raise Refused("You are not a member of this organization.", "not_a_member")
    if not case.lets(person):
        able = [name for role, name in roles.ROLES.items() if case.wide.lets(role)]
        if not able:
            raise Refused("This request's rule names no role that can decide.", "role")
        mine = roles.ROLES.get(person.role, person.role).lower()
        raise Refused(f"This needs {_either(able)}; your role is {mine}.", "role")
    if person.id in case.owners:
        raise Refused("You own this agent: somebody else has to decide what it asked.", "owner")
    if person.id in case.requesters:
        raise Refused("The agent asks on your behalf: somebody else has to decide.", "requester")
    if any(vote.person.id == person.id for vote in case.votes):
        raise Refused("You have decided already; this request needs somebody else too.", "voted")
    if case.paused:
        raise Refused("The organization is paused: nothing is decided until it is resumed.", "paused")


def can_person(case: Case, person: Person) -> bool:
    return _passes(check_person, case, person)


# Is this what they were shown?


def check_shown(case: Case, digest: str) -> None:
    if digest != case.digest:
        raise Conflict("This is not the request you were shown. Read it again before you decide.", "digest")


def can_shown(case: Case, digest: str) -> bool:
    return _passes(check_shown, case, digest)


# Was a reason given?


def check_reason(case: Case, verdict: Verdict, reason: str) -> None:
    if case.rule.needs_reason(verdict) and not reason:
        raise Incomplete(f"Say why you {verdict} this; the agent and the record keep it.", "reason_required")
    if len(reason) > REASON_LIMIT:
        raise Incomplete(f"A reason has at most {REASON_LIMIT:,} characters; this has {len(reason):,}.", "reason_long")
    if "\0" in reason:
        raise Incomplete("A reason cannot hold the character U+0000.", "reason_nul")


def can_reason(case: Case, verdict: Verdict, reason: str) -> bool:
    return _passes(check_reason, case, verdict, reason)


# The whole ladder


def check_review(case: Case, *, person: Person, verdict: Verdict, reason: str, digest: str, now: datetime) -> None:
    """Every rung, in order: raises the first that does not hold."""
    check_change(case, now)
    check_person(case, person)
    check_shown(case, digest)
    check_reason(case, verdict, reason)


def why_not(case: Case, person: Person, now: datetime) -> str:
    """Why this person cannot decide this now, as a sentence; empty when they can."""
    try:
        check_change(case, now)
        check_person(case, person)
    except Refused as refused:
        return refused.reason
    return ""


def tally(case: Case) -> Tally:
    """Counts the votes of distinct people who may decide as of now and were shown this digest (I3).

    Who lost the role, or became an owner of the agent, since they voted no longer counts.
    """
    counted: dict[uuid.UUID, Verdict] = {}
    for vote in case.votes:
        barred = vote.person.id in case.owners or vote.person.id in case.requesters
        if case.lets(vote.person) and not barred and vote.digest == case.digest:
            counted.setdefault(vote.person.id, vote.verdict)
    approvals = sum(verdict == "approve" for verdict in counted.values())
    denials = len(counted) - approvals
    outcome = None
    if denials >= case.rule.denials:
        outcome = states.DENIED
    elif approvals >= case.rule.approvals:
        outcome = states.APPROVED
    return Tally(approvals, denials, outcome, frozenset(counted))


def _passes(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except Refused:
        return False
    return True


def _either(names: Iterable[str]) -> str:
    """`an owner, admin or approver`."""
    *most, last = [name.lower() for name in names]
    words = f"{', '.join(most)} or {last}" if most else last
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC on {moment.astimezone(UTC):%d %b %Y}".replace(" on 0", " on ")
