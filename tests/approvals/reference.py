"""What deciding means, said again as plainly as can be, to compare approvals with. Nothing of Warden is imported."""

from dataclasses import dataclass, field, replace
from typing import Any

ABLE = {"owner", "admin", "approver"}
SURE = ["slack", "browser", "stepup"]


@dataclass
class Somebody:
    role: str
    active: bool = True
    teams: set[int] = field(default_factory=set)
    glass: bool = False  # whether an owner gave them break-glass


@dataclass
class Vote:
    by: int
    voice: int
    verdict: str


@dataclass
class Rule:
    """`ways`: each how many, and whose (sets of roles, teams, people). The first one grows by escalation."""

    ways: list[tuple[int, set[str], set[int], set[int]]]
    denials: int = 1
    assurance: str = "slack"
    reason_to_deny: bool = True
    step: set[str] = field(default_factory=set)
    edits: bool = True


@dataclass
class Request:
    """`asked` is what the agent asked, `content` what is decided: another thing once somebody changed it."""

    asked: int
    rule: Rule
    requesters: set[int]
    state: str = "pending"
    overdue: bool = False
    escalated: bool = False
    editors: set[int] = field(default_factory=set)
    votes: list[Vote] = field(default_factory=list)
    claimed: bool = False
    lapsed: bool = False
    content: int = -1
    edits: list[tuple[int, int, int]] = field(default_factory=list)  # by whom, from what, to what
    broken_by: int | None = None  # who allowed it outside its rule
    instead_of: "Request | None" = None  # what had ended, and is allowed after all
    signed: str = ""

    def __post_init__(self) -> None:
        self.content = self.asked

    @property
    def open(self) -> bool:
        return self.state == "pending" or (self.state == "approved" and not self.claimed and not self.lapsed)


class Reference:
    """One organization."""

    def __init__(self, people: list[Somebody], rule: Rule, owner: int | None, owner_team: int | None) -> None:
        self.people, self.rule = people, rule
        self.owner, self.owner_team = owner, owner_team
        self.lends: set[tuple[int, int]] = set()
        self.requests: list[Request] = []
        self.paused = self.single = False

    # Who

    def able(self, who: int) -> bool:
        return self.people[who].active and self.people[who].role in ABLE

    def in_way(self, who: int, request: Request, number: int) -> bool:
        _, roles, teams, people = request.rule.ways[number]
        if number == 0 and request.escalated:
            roles = roles | request.rule.step
        somebody = self.people[who]
        return self.able(who) and (somebody.role in roles or bool(somebody.teams & teams) or who in people)

    def named(self, who: int, request: Request) -> bool:
        return any(self.in_way(who, request, number) for number in range(len(request.rule.ways)))

    def owners(self) -> set[int]:
        if self.owner is not None:
            return {self.owner}
        return {who for who, somebody in enumerate(self.people) if self.owner_team in somebody.teams}

    def barred(self, who: int, request: Request) -> str:
        if self.single:
            return ""
        if who in self.owners():
            return "owner"
        if who in request.requesters:
            return "requester"
        return "editor" if who in request.editors else ""

    def voice(self, who: int, request: Request) -> int | None:
        if self.named(who, request):
            return who
        if not self.able(who):
            return None
        spoken = {each for vote in request.votes for each in (vote.by, vote.voice)}
        for lender in range(len(self.people)):  # in the order of their addresses
            may = self.named(lender, request) and not self.barred(lender, request)
            if (lender, who) in self.lends and may and lender not in spoken:
                return lender
        return None

    # What comes of a vote

    def vote(self, who: int, request: Request, verdict: str, *, right: bool, sure: str, reason: bool) -> str:
        """The code of the refusal, or `ok`; the request changes with it."""
        if right and any(vote.by == who and vote.verdict == verdict for vote in request.votes):
            return "ok"
        if request.state == "pending" and request.overdue and not self.paused:
            request.state = "expired"
            return "expired"
        if request.state != "pending":
            return request.state if request.state in ("expired", "cancelled") else "decided"
        code = self._refusal(who, request, verdict, right=right, sure=sure, reason=reason)
        if code:
            return code
        voice = self.voice(who, request)
        assert voice is not None
        request.votes.append(Vote(who, voice, verdict))
        request.state = self.outcome(request) or "pending"
        return "ok"

    def _refusal(self, who: int, request: Request, verdict: str, *, right: bool, sure: str, reason: bool) -> str:
        if not self.people[who].active:
            return "not_a_member"
        voice = self.voice(who, request)
        if voice is None:
            return "role"
        if barred := self.barred(who, request):
            return barred
        if any(who in (vote.by, vote.voice) for vote in request.votes):
            return "voted"
        if self.paused:
            return "paused"
        if SURE.index(sure) < SURE.index(request.rule.assurance):
            return "assurance"
        if not right:
            return "digest"
        return "reason_required" if verdict == "deny" and request.rule.reason_to_deny and not reason else ""

    # What comes of a change

    def edit(self, who: int, request: Request, to: int, *, right: bool, sure: str, reason: bool) -> str:
        """The code of the refusal, or `ok`: then it is another request, that nobody has voted on."""
        if request.state == "pending" and request.overdue and not self.paused:
            return "expired"
        if request.state != "pending":
            return request.state if request.state in ("expired", "cancelled") else "decided"
        code = self._refusal(who, request, "approve", right=right, sure=sure, reason=reason)
        if code:
            return code
        if not request.rule.edits:
            return "edits"
        if to == request.content:
            return "edit_nothing"
        if any(to in (each.asked, each.content) for each in self.requests if each is not request and each.open):
            return "edit_twice"
        then = replace(request, votes=[], editors=request.editors | {who})
        if not any(
            not self._refusal(each, then, "approve", right=True, sure="stepup", reason=True)
            for each in range(len(self.people))
        ):
            return "edit_alone"
        if not reason:
            return "reason_required"
        request.edits.append((who, request.content, to))
        request.editors.add(who)
        request.content, request.votes = to, []
        return "ok"

    def counted(self, request: Request) -> list[Vote]:
        heard: set[int] = set()
        counted = []
        for vote in request.votes:
            both = {vote.by, vote.voice}
            may = self.named(vote.voice, request) and self.able(vote.by)
            if may and not any(self.barred(each, request) for each in both) and not both & heard:
                counted.append(vote)
                heard |= both
        return counted

    def outcome(self, request: Request) -> str:
        counted = self.counted(request)
        if sum(vote.verdict == "deny" for vote in counted) >= request.rule.denials:
            return "denied"
        for number, (needed, *_) in enumerate(request.rule.ways):
            said = [vote for vote in counted if vote.verdict == "approve" and self.in_way(vote.voice, request, number)]
            if len(said) >= needed:
                return "approved"
        return ""

    # Outside the rule

    def breaks(self, who: int, request: Request) -> str:
        """Why they cannot break the glass for it, as a code; empty where they can."""
        if not (self.able(who) and self.people[who].glass):
            return "glass"
        return "chain" if who in self.owners() | request.requesters | request.editors else ""

    def break_glass(
        self, who: int, request: Request, *, right: bool, sure: str, reason: bool, typed: bool
    ) -> tuple[str, Request | None]:
        """The code of the refusal; or `ok` and what may be taken: what waited, else another request like it."""
        late = request.state == "pending" and request.overdue and not self.paused
        if request.state in ("approved", "cancelled"):
            return "decided" if request.state == "approved" else "cancelled", None
        if code := self.breaks(who, request):
            return code, None
        if self.paused:
            return "paused", None
        if sure != "stepup":
            return "assurance", None
        if not right:
            return "digest", None
        mine = {request.asked, request.content}
        others = [each for each in self.requests if each is not request and each.open]
        if request.state != "pending" and any(mine & {each.asked, each.content} for each in others):
            return "asked_again", None
        if not reason:
            return "reason_required", None
        if not typed:
            return "confirmation", None
        if request.state == "pending" and not late:
            request.state, request.broken_by = "approved", who
            return "ok", request
        if late:
            request.state = "expired"
        allowed = replace(
            request,
            state="approved",
            overdue=False,
            escalated=False,
            requesters=set(request.requesters),
            editors=set(request.editors),
            votes=[],
            edits=[],
            broken_by=who,
            instead_of=request,
            signed="",
        )
        allowed.content = request.content
        self.requests.append(allowed)
        return "ok", allowed

    def sign(self, who: int, request: Request, *, justified: bool, typed: bool) -> bool:
        """Whether their word on what was allowed so is taken: another owner's, or the only one's who types more."""
        somebody = self.people[who]
        if request.broken_by is None or request.signed or somebody.role != "owner" or not somebody.active:
            return False
        others = any(each.role == "owner" and each.active for at, each in enumerate(self.people) if at != who)
        if who == request.broken_by and (others or not typed):
            return False
        request.signed = "justified" if justified else "unjustified"
        return True

    def stands(self, request: Request) -> bool:
        """Whether what was approved may still be taken."""
        if request.broken_by is not None:
            return not self.breaks(request.broken_by, request) and request.signed != "unjustified"
        return self.outcome(request) == "approved"

    # What comes of an agent's turn

    def ask(self, kind: int, requesters: set[int]) -> tuple[str, Request]:
        """`new`, `pending` (the same one still waits), `claimed`, or `edited`: approved, but not as it is asked."""
        for request in self.requests:
            if kind not in (request.asked, request.content) or not request.open:
                continue
            if request.state == "pending" and request.overdue:
                request.state = "expired"
            elif request.state == "pending":
                request.requesters |= requesters
                return "pending", request
            elif request.content != kind:
                return "edited", request
            elif self.stands(request):
                request.claimed = True
                return "claimed", request
            else:
                request.lapsed = True
        made = Request(kind, self.rule, set(requesters))
        self.requests.append(made)
        return "new", made

    def claim(self, request: Request) -> str:
        """`ok`, or the code of the refusal."""
        if request.claimed:
            return "already_claimed"
        if request.state != "approved":
            overdue = request.state == "expired" or (request.state == "pending" and request.overdue)
            return "approval_expired" if overdue else "not_approved"
        if request.lapsed:
            return "approval_expired"
        if self.paused:
            return "paused"
        if not self.stands(request):
            return "policy_changed"
        request.claimed = True
        return "ok"

    def cancel(self, request: Request) -> str:
        if request.state == "pending" and not request.overdue:
            request.state = "cancelled"
        return request.state


def facts(request: Request) -> dict[str, Any]:
    """What the database must say of it."""
    return {
        "state": request.state,
        "claimed": request.claimed,
        "content": request.content,
        "asked": request.asked,
        "edits": request.edits,
        "votes": [(vote.by, vote.voice, vote.verdict) for vote in request.votes],
        "glass": request.broken_by,
    }
