"""A request as one line of the inbox."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.urls import reverse

from accounts import roles
from accounts.models import Membership
from agents.policy.money import plain
from approvals import rules
from approvals.case import cases, person_of
from approvals.models import Approval
from approvals.sentence import Sentence, sentence
from audit.sealing import is_marked

COVERED = "Values of it are withheld or encrypted, and shown by itself only: open this one."


@dataclass(frozen=True, slots=True)
class Row:
    """What a line shows. `why_not` is empty where this person may decide, `why_not_together` with others at once."""

    approval: Approval
    href: str
    state: str
    sentence: Sentence
    amount: str
    who: str
    who_briefly: str
    tally: rules.Tally
    needed: int
    why_not: str
    why_not_together: str


def rows(approvals: Iterable[Approval], membership: Membership, now: datetime) -> list[Row]:
    """The lines for some approvals, in their order."""
    approvals = list(approvals)
    facts = cases(approvals, membership.organization)
    person = person_of(membership.organization_id, membership.user_id)
    return [row(approval, facts[approval.id], person, now) for approval in approvals]


def row(approval: Approval, case: rules.Case, person: rules.Person, now: datetime) -> Row:
    """One line. Takes the short context where the query brought one, so that a long one is not read for a line."""
    tally = rules.tally(case)
    kept = getattr(approval, "short_context", None) or approval.context
    context = json.loads(kept)
    return Row(
        approval=approval,
        href=reverse("approvals:detail", args=[approval.approval_id]),
        state=shown_state(approval, now),
        sentence=sentence(approval.action, approval.amount, context),
        amount=written(approval.amount),
        who=who_may(case.wide.everybody),
        who_briefly=who_briefly(case.wide.everybody),
        tally=tally,
        needed=tally.needed,
        why_not=rules.why_not(case, person, now),
        why_not_together=COVERED if is_marked(kept) else rules.why_not(case, person, now, together=True),
    )


def shown_state(approval: Approval, now: datetime) -> str:
    """The state as of now, in which an approval that was taken says so."""
    if approval.claimed_at:
        return "claimed"
    return rules.current_state(approval.state, approval.deadline, now)


def written(amount: Decimal | None) -> str:
    """An amount with two decimals at least and every other digit it has, for `|money`."""
    return "" if amount is None else plain(amount)


def who_may(who: rules.Who) -> str:
    """`approver, admin, owner or member of finance`: those who may decide, the least of the roles first."""
    return _either(_able(who)) or "nobody"


def who_briefly(who: rules.Who) -> str:
    """`Approvers`, `finance`, …: the first of them, for a line."""
    able = _able(who)
    first = able[0].removeprefix("member of ") if able else ""
    if first in {name.lower() for name in roles.ROLES.values()}:
        return f"{first.capitalize()}s"
    return first or "Nobody"


def _able(who: rules.Who) -> list[str]:
    words = who.words()
    known = [name.lower() for name in roles.ROLES.values()]
    return [*reversed([word for word in words if word in known]), *(word for word in words if word not in known)]


def _either(able: list[str]) -> str:
    return f"{', '.join(able[:-1])} or {able[-1]}" if len(able) > 1 else "".join(able)
