"""Being away: say so, name who decides meanwhile, call it off. Only for oneself, or on the command line."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import roles
from accounts.by import By, lock, role_of, tell
from accounts.models import Delegation, Membership, Organization
from accounts.names import clean_name
from accounts.rules import Refused
from audit.clock import database_now
from audit.ids import show_id

LONGEST = timedelta(days=90)
AHEAD = timedelta(days=366)
DECIDE = "approvals:decide"


def running(organization: Organization, now: datetime) -> QuerySet[Delegation]:
    """Those that hold at `now`, the database's clock."""
    return Delegation.objects.filter(organization=organization, starts_at__lte=now, ends_at__gt=now, ended_at=None)


def current(member: Membership, now: datetime) -> QuerySet[Delegation]:
    """A member's own that hold or are to come."""
    mine = Delegation.objects.filter(delegator=member, ends_at__gt=now, ended_at=None)
    return mine.prefetch_related("delegates__user")


def create(
    *,
    member: Membership,
    starts_at: datetime | None,
    ends_at: datetime,
    delegates: Iterable[Membership] = (),
    note: str = "",
    by: By,
) -> Delegation:
    """Says that `member` is away from `starts_at` (None: now) to `ends_at`, and who decides in their name meanwhile.

    Raises Refused: for somebody else's absence, a period that will not do, or a delegate who may not decide.
    """
    with transaction.atomic():
        organization = lock(member.organization)
        _check_own(member, by)
        if not roles.may(role_of(member, organization), DECIDE):
            raise Refused("You decide nothing here: there is nothing to hand over.")
        now = database_now()
        starts_at = max(starts_at or now, now)
        if ends_at <= starts_at:
            raise Refused("The end is not after the beginning.")
        if ends_at - starts_at > LONGEST or starts_at - now > AHEAD:
            raise Refused(f"At most {LONGEST.days} days, beginning within a year.")
        wanted = {delegate.pk for delegate in delegates}
        found = list(
            Membership.objects.select_related("user")
            .filter(organization=organization, pk__in=wanted, user__is_active=True)
            .exclude(pk=member.pk)
        )
        if len(found) != len(wanted):
            raise Refused("Choose other members of this organization.")
        if unable := [each.user.email for each in found if not each.may(DECIDE)]:
            raise Refused(f"{unable[0]} may not decide: a delegation gives nobody more than their role does.")
        clash = Delegation.objects.filter(Q(starts_at__lt=ends_at) & Q(ends_at__gt=starts_at), delegator=member)
        if clash.filter(ended_at=None).exists():
            raise Refused("You are away then already. Call that off first.")
        row = Delegation.objects.create(
            organization=organization,
            delegator=member,
            starts_at=starts_at,
            ends_at=ends_at,
            note=clean_name(note, 200),
        )
        row.delegates.set(found)
        tell(
            "delegation:create",
            organization=organization,
            by=by,
            target=show_id("dlg", row.id),
            email=member.user.email,
            to=sorted(each.user.email for each in found),
            starts_at=starts_at.isoformat(),
            ends_at=ends_at.isoformat(),
        )
    return row


def end(*, delegation: Delegation, by: By) -> None:
    """Calls it off from now on; what was decided under it stays decided. Nothing happens where it is over already.

    Raises Refused for somebody else's.
    """
    with transaction.atomic():
        organization = lock(delegation.organization)
        member = Membership.objects.select_related("user").get(pk=delegation.delegator_id)
        _check_own(member, by)
        now = database_now()
        if Delegation.objects.filter(pk=delegation.pk, ended_at=None, ends_at__gt=now).update(ended_at=now):
            target = show_id("dlg", delegation.id)
            tell("delegation:end", organization=organization, by=by, target=target, email=member.user.email)


def _check_own(member: Membership, by: By) -> None:
    role_of(by, member.organization)
    if isinstance(by, Membership) and by.pk != member.pk:
        raise Refused("Only they themselves say when somebody is away.")
