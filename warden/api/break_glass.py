"""/api/break-glass: what was allowed outside its rule, and its sign-off; who may do it. Doing it is for the browser."""

from typing import Annotated

from msgspec import Meta, Struct

from accounts.services import break_glass
from approvals.glass import services
from approvals.models import BreakGlass
from audit.ids import show_id
from warden.api import finding
from warden.api.answers import Moment
from warden.api.answers import people as answers
from warden.api.bodies import BudgetsQuery, SignGlass
from warden.api.endpoint import Call, endpoint

SHOWN = 500


class Broken(Struct):
    """One request that somebody allowed outside its rule."""

    id: str
    approval_id: str
    instead_of: Annotated[str | None, Meta(description="The request that was denied or expired.")]
    by: str
    reason: str
    digest: str
    created_at: Moment
    due_at: Annotated[Moment, Meta(description="By when an owner signs it off.")]
    signed_at: Moment | None
    signed_by: str | None
    verdict: Annotated[str | None, Meta(description="justified or unjustified; null: not signed off yet.")]
    note: str


@endpoint("GET", "break-glass", "settings:read")
def list_broken_glass(call: Call, query: BudgetsQuery) -> list[Broken]:
    """List what was allowed outside its rule, newest first."""
    rows = BreakGlass.objects.filter(organization=call.organization, mode=query.mode).select_related("approval")
    return [_shown(row) for row in rows.order_by("-id")[:SHOWN]]


@endpoint("POST", "break-glass/{glass_id}/sign", "settings:write")
def sign_broken_glass(call: Call, glass_id: str, body: SignGlass) -> Broken:
    """Sign a break-glass off, as another owner than who did it. Not justified: the agent cannot take it any more."""
    rows = BreakGlass.objects.filter(organization=call.organization).select_related("organization", "approval")
    row = finding.one(rows, "brk", glass_id, "Break-glass")
    return _shown(
        services.sign(
            broken=row,
            by=call.membership,
            justified=body.verdict == BreakGlass.JUSTIFIED,
            note=body.note,
            typed=body.typed,
        )
    )


@endpoint("POST", "members/{member_id}/break-glass", "members:write")
def give_break_glass(call: Call, member_id: str) -> answers.Member:
    """Let a member allow single requests outside their rule. Only owners do this."""
    return answers.member(break_glass.allow(member=finding.member(call, member_id), by=call.membership))


@endpoint("DELETE", "members/{member_id}/break-glass", "members:write")
def withdraw_break_glass(call: Call, member_id: str) -> answers.Member:
    """Take it back, for what they allowed and the agent has not taken yet too. Only owners do this."""
    return answers.member(break_glass.withdraw(member=finding.member(call, member_id), by=call.membership))


def _shown(row: BreakGlass) -> Broken:
    return Broken(
        row.glass_id,
        row.approval.approval_id,
        show_id("apr", row.instead_of_id) if row.instead_of_id else None,
        row.user_label,
        row.reason,
        row.digest,
        row.created_at,
        row.due_at,
        row.signed_at,
        row.signed_by_label or None,
        row.verdict or None,
        row.note,
    )
