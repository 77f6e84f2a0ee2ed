"""Who may decide what, and when: a ladder of rules over plain data. No ORM, no clock, no settings.

May this *state* change → may this *person* → is it *surely* them → is this *what they were shown* → was a *reason*
given where one is due → was what is critical *confirmed* → was it before them for *long enough*.
Each rung is a pair: `check_…` raises `Refused` with a sentence for the person, `can_…` says yes or no.
"""

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, get_args

from accounts import roles
from agents import assurance as levels
from approvals import states
from approvals.rule import Person as Person
from approvals.rule import Rule as Rule
from approvals.rule import Who as Who

Verdict = Literal["approve", "deny"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
REASON_LIMIT = 2_000  # characters
TOGETHER = "low"  # the one risk of which several are decided at once


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
class Vote:
    """What somebody said, and the role they have now; in whose name, where not in their own."""

    person: Person
    verdict: Verdict
    digest: str
    on_behalf_of: Person | None = None

    @property
    def voice(self) -> Person:
        """Whose vote it is."""
        return self.on_behalf_of or self.person

    @property
    def involved(self) -> frozenset[uuid.UUID]:
        """Who has had their say by it: whose it is, and who gave it."""
        return frozenset({self.person.id, self.voice.id})


@dataclass(frozen=True, slots=True)
class Case:
    """One request, as the rules see it."""

    state: str
    expires_at: datetime
    digest: str
    rule: Rule
    requesters: frozenset[uuid.UUID] = frozenset()
    owners: frozenset[uuid.UUID] = frozenset()
    editors: frozenset[uuid.UUID] = frozenset()  # people who changed what is decided
    votes: tuple[Vote, ...] = ()
    escalated: int = 0  # steps of the rule that were reached
    risk: str = ""
    action: str = ""
    paused: str = ""  # what of the kill switch holds it, as a sentence without its full stop
    frozen: bool = False  # whether its deadlines stand still
    single_operator: bool = False  # the organization has given up that two people are needed
    decided_at: datetime | None = None
    decided_by: str = ""

    @property
    def wide(self) -> Rule:
        """The rule with those whom the reached steps add."""
        return self.rule.widened(self.escalated)

    @property
    def barred(self) -> frozenset[uuid.UUID]:
        """Whose approval would be of what they asked or made themselves."""
        return frozenset() if self.single_operator else self.chain

    @property
    def chain(self) -> frozenset[uuid.UUID]:
        """Who has a part in what is asked, whatever the organization has given up."""
        return self.owners | self.requesters | self.editors

    @property
    def involved(self) -> frozenset[uuid.UUID]:
        """Who has had their say."""
        return frozenset[uuid.UUID]().union(*(vote.involved for vote in self.votes))

    def voice(self, person: Person) -> Person | None:
        """Whose vote this person's would be: their own where the rule names them, else that of somebody who is away,
        whom it names and whose turn it is still. None: nobody's.
        """
        if self.wide.lets(person):
            return person
        gone = self.barred | self.involved
        lent = (each for each in person.lenders if self.wide.lets(each) and each.id not in gone)
        return next(lent, None) if person.able else None


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes that count, and what they come to: a final state, or None while more are needed."""

    approvals: int  # in the way of the rule that is nearest to its end
    denials: int
    outcome: str | None
    counted: frozenset[uuid.UUID] = field(default_factory=frozenset)
    needed: int = 1  # in that way


def current_state(state: str, deadline: datetime | None, now: datetime) -> str:
    """The state as of now: a request past its deadline is expired, whether or not the sweep has come by.

    `deadline` None: it stands still.
    """
    overdue = deadline is not None and deadline <= now
    return states.EXPIRED if state == states.PENDING and overdue else state


# May this state change?


def check_change(case: Case, now: datetime) -> None:
    state = current_state(case.state, None if case.frozen else case.expires_at, now)
    if state == states.PENDING:
        return
    if state == states.EXPIRED:
        raise Conflict(f"This request expired at {_clock(case.expires_at)}, undecided.", "expired")
    if state == states.CANCELLED:
        raise Conflict("This request was cancelled; there is nothing left to decide.", "cancelled")
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
    if case.voice(person) is None:
        able = case.wide.everybody.words()
        if not able:
            raise Refused("This request's rule names no role that can decide.", "role")
        mine = roles.ROLES.get(person.role, person.role).lower()
        raise Refused(f"This needs {_either(able)}; your role is {mine}.", "role")
    if person.id in case.owners & case.barred:
        raise Refused("You own this agent: somebody else has to decide what it asked.", "owner")
    if person.id in case.requesters & case.barred:
        raise Refused("The agent asks on your behalf: somebody else has to decide.", "requester")
    if person.id in case.editors & case.barred:
        raise Refused("You changed this request: somebody else has to decide it as it is now.", "editor")
    if person.id in case.involved:
        raise Refused("You have decided already, or somebody did in your name; it needs somebody else too.", "voted")
    if case.paused:
        raise Refused(f"{case.paused}: nothing of it is decided until the stop is released.", "paused")


def can_person(case: Case, person: Person) -> bool:
    return _passes(check_person, case, person)


# Is it surely them?


def check_assurance(case: Case, given: str) -> None:
    """`given` is how sure it is that this person decides: one of agents.assurance."""
    if levels.is_enough(given, case.rule.assurance):
        return
    if case.rule.assurance == levels.STEPUP:
        raise Refused(
            "This needs your second factor: open it in Warden and confirm with your passkey or your app's code.",
            "assurance",
        )
    raise Refused("This is decided in the browser only: open it in Warden.", "assurance")


def can_assurance(case: Case, given: str) -> bool:
    return _passes(check_assurance, case, given)


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


def check_changes(verdict: Verdict, reason: str, *, changes: bool) -> None:
    """Whether asking for changes makes sense: it is a denial that says what has to change."""
    if changes and verdict != "deny":
        raise Incomplete("To ask for changes is to deny: an approval cannot do it.", "changes_deny")
    if changes and not reason:
        raise Incomplete("Say what has to change: the agent reads it and asks again.", "reason_required")


def can_reason(case: Case, verdict: Verdict, reason: str) -> bool:
    return _passes(check_reason, case, verdict, reason)


# Was what is critical confirmed?


def check_confirmation(case: Case, verdict: Verdict, typed: str) -> None:
    if verdict == "approve" and case.rule.needs_typing(case.risk) and typed.strip() != case.action:
        raise Incomplete(f"This is critical: type {case.action} to approve it.", "confirmation")


def can_confirmation(case: Case, verdict: Verdict, typed: str) -> bool:
    return _passes(check_confirmation, case, verdict, typed)


# Was what is critical before them for long enough?


def check_time(case: Case, verdict: Verdict, shown_at: datetime | None, now: datetime) -> None:
    """`shown_at` is since when the server has shown them this digest; None: it never did, as in Slack and scripts."""
    seconds = case.rule.reading_seconds(case.risk)
    if verdict != "approve" or not seconds:
        return
    if shown_at is None:
        said = f"This is critical, and approved in the browser only, after {seconds} seconds with it"
        raise Refused(f"{said}: open it in Warden.", "time")
    left = math.ceil(seconds - (now - shown_at).total_seconds())
    if left > 0:
        more = f"{left} more second{'' if left == 1 else 's'}"
        raise Incomplete(f"This is critical: read it for {more}, then approve it.", "too_soon")


def can_time(case: Case, verdict: Verdict, shown_at: datetime | None, now: datetime) -> bool:
    return _passes(check_time, case, verdict, shown_at, now)


# May it be decided together with others?


def check_together(case: Case) -> None:
    if case.risk != TOGETHER:
        raise Refused(f"Only what has a {TOGETHER} risk is decided together with others: open this one.", "together")


def can_together(case: Case) -> bool:
    return _passes(check_together, case)


# The whole ladder


def check_review(
    case: Case,
    *,
    person: Person,
    verdict: Verdict,
    reason: str,
    digest: str,
    now: datetime,
    assurance: str = levels.SLACK,
    typed: str = "",
    changes: bool = False,
    shown_at: datetime | None = None,
    together: bool = False,
) -> None:
    """Every rung, in order: raises the first that does not hold. `together`: one of several."""
    check_change(case, now)
    if together:
        check_together(case)
    check_person(case, person)
    check_assurance(case, assurance)
    check_shown(case, digest)
    check_reason(case, verdict, reason)
    check_changes(verdict, reason, changes=changes)
    check_confirmation(case, verdict, typed)
    check_time(case, verdict, shown_at, now)


def why_not(case: Case, person: Person, now: datetime, *, together: bool = False) -> str:
    """Why this person cannot decide this now (or not together with others), as a sentence; empty when they can."""
    try:
        check_change(case, now)
        check_person(case, person)
        if together:
            check_together(case)
    except Refused as refused:
        return refused.reason
    return ""


def tally(case: Case) -> Tally:
    """Counts the votes of distinct people who may decide as of now and were shown this digest (I3).

    Who lost the role or the team, or became an owner of the agent, since they voted no longer counts; nor does what
    was said in their name, or by who may not decide any more. An approval counts in every way of the rule that names
    whose it is. Nobody has more than one say, by themselves, through somebody or for somebody.
    """
    rule, seen = case.wide, set[uuid.UUID]()
    counted: list[Vote] = []
    for vote in case.votes:
        lets = rule.lets(vote.voice) and vote.person.able and not vote.involved & case.barred
        if lets and vote.digest == case.digest and not vote.involved & seen:
            counted.append(vote)
            seen |= vote.involved
    said = [vote for vote in counted if vote.verdict == "approve"]
    denials = len(counted) - len(said)
    ways = [(sum(way.who.lets(vote.voice) for vote in said), way.approvals) for way in rule.ways]
    approvals, needed = min(ways, key=lambda way: way[1] - way[0])
    outcome = None
    if denials >= rule.denials:
        outcome = states.DENIED
    elif approvals >= needed:
        outcome = states.APPROVED
    return Tally(approvals, denials, outcome, frozenset(vote.person.id for vote in counted), needed)


def _passes(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except Refused:
        return False
    return True


def _either(names: Iterable[str]) -> str:
    """`an owner, admin or approver`."""
    *most, last = names
    words = f"{', '.join(most)} or {last}" if most else last
    if "@" in words.partition(" ")[0]:
        return words
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC on {moment.astimezone(UTC):%d %b %Y}".replace(" on 0", " on ")
