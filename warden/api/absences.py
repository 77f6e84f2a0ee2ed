"""/api/absences: who is away, and who decides in their name meanwhile."""

from typing import Annotated

from msgspec import Meta, Struct

from accounts.models import Delegation
from accounts.services import delegations
from audit.clock import database_now
from audit.ids import show_id
from warden.api import finding
from warden.api.bodies import Line, Moment
from warden.api.endpoint import Call, endpoint


class NewAbsence(Struct, forbid_unknown_fields=True):
    """One's own: the token says whose."""

    ends_at: Moment
    starts_at: Annotated[Moment | None, Meta(description="Null: now.")] = None
    delegates: Annotated[list[Line], Meta(max_length=50, description="E-mail addresses of members.")] = []
    note: Annotated[Line, Meta(description="At most 200 characters; colleagues see it.")] = ""


class Absence(Struct):
    """Who is away, and who may decide in their name: what they could, and no more."""

    id: str
    email: str
    starts_at: Moment
    ends_at: Moment
    delegates: list[str]
    note: str


@endpoint("GET", "absences", "approvals:read")
def list_absences(call: Call) -> list[Absence]:
    """List who is away or will be."""
    rows = Delegation.objects.filter(organization=call.organization, ends_at__gt=database_now(), ended_at=None)
    return [_shown(row) for row in rows.select_related("delegator__user").prefetch_related("delegates__user")]


@endpoint("POST", "absences", "approvals:decide", 201)
def create_absence(call: Call, body: NewAbsence) -> Absence:
    """Say that you are away."""
    row = delegations.create(
        member=call.membership,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        delegates=finding.members_by_email(call.organization, body.delegates),
        note=body.note,
        by=call.membership,
    )
    return _shown(row)


@endpoint("DELETE", "absences/{absence_id}", "approvals:decide", 204)
def end_absence(call: Call, absence_id: str) -> None:
    """Call your absence off. What was decided meanwhile stays decided."""
    rows = Delegation.objects.filter(organization=call.organization, delegator=call.membership)
    row = finding.one(rows.select_related("organization"), "dlg", absence_id, "Absence")
    delegations.end(delegation=row, by=call.membership)


def _shown(row: Delegation) -> Absence:
    return Absence(
        id=show_id("dlg", row.id),
        email=row.delegator.user.email,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        delegates=sorted(each.user.email for each in row.delegates.all()),
        note=row.note,
    )
