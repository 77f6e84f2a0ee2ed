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
from approvals.case import cases
from approvals.models import Approval
from approvals.sentence import Sentence, sentence


@dataclass(frozen=True, slots=True)
class Row:
    """What a line shows. `why_not` is empty where this person may decide."""

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


def rows(approvals: Iterable[Approval], membership: Membership, now: datetime) -> list[Row]:
    """The lines for some approvals, in their order."""
    approvals = list(approvals)
    facts = cases(approvals, membership.organization)
    person = rules.Person(membership.user_id, membership.role)
    return [row(approval, facts[approval.id], person, now) for approval in approvals]


def row(approval: Approval, case: rules.Case, person: rules.Person, now: datetime) -> Row:
    """One line. Takes the short context where the query brought one, so that a long one is not read for a line."""
    context = json.loads(getattr(approval, "short_context", None) or approval.context)
    return Row(
        approval=approval,
        href=reverse("approvals:detail", args=[approval.approval_id]),
        state=shown_state(approval, now),
        sentence=sentence(approval.action, approval.amount, context),
        amount=written(approval.amount),
        who=who_may(case.wide),
        who_briefly=who_briefly(case.wide),
        tally=rules.tally(case),
        needed=case.rule.approvals,
        why_not=rules.why_not(case, person, now),
    )


def shown_state(approval: Approval, now: datetime) -> str:
    """The state as of now, in which an approval that was taken says so."""
    if approval.claimed_at:
        return "claimed"
    return rules.current_state(approval.state, approval.expires_at, now)


def written(amount: Decimal | None) -> str:
    """An amount with two decimals at least and every other digit it has, for `|money`."""
    return "" if amount is None else plain(amount)


def who_may(rule: rules.Rule) -> str:
    """`approver, admin or owner`: the roles that may decide, the least of them first."""
    able = [name.lower() for role, name in reversed(roles.ROLES.items()) if rule.lets(role)]
    if not able:
        return "nobody"
    return f"{', '.join(able[:-1])} or {able[-1]}" if len(able) > 1 else able[0]


def who_briefly(rule: rules.Rule) -> str:
    """`Approvers`, `Admins`, …: the least role that may decide, in the plural, for a line."""
    able = [name for role, name in reversed(roles.ROLES.items()) if rule.lets(role)]
    return f"{able[0]}s" if able else "Nobody"
