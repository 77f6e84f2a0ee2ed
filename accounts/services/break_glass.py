"""Break-glass as a capability: who may allow one request outside its approval rule. Owners give and withdraw it."""

from django.db import transaction

from accounts import roles
from accounts.by import By, check_by, lock, tell
from accounts.models import Membership, Organization
from accounts.rules import Refused
from audit.ids import show_id


def allow(*, member: Membership, by: By) -> Membership:
    """Gives it to a member. Raises Refused: only owners do, for people who decide, and not for themselves while there
    is another owner.
    """
    with transaction.atomic():
        row = _fresh(member, by)
        if row.breaks_glass:
            return row
        if not roles.may(row.role, "approvals:decide"):
            raise Refused(
                f"Give {row.user.email} a role that decides first: {row.get_role_display().lower()} does not."
            )
        if isinstance(by, Membership) and by.pk == row.pk and (others := other_owners(row)):
            raise Refused(f"Nobody gives it to themselves: ask another owner. There is {', '.join(others)}.")
        return _set(row, by, given=True)


def withdraw(*, member: Membership, by: By) -> Membership:
    """Takes it back, for what they allowed by it and the agent has not taken yet, too. Raises Refused."""
    with transaction.atomic():
        row = _fresh(member, by)
        return _set(row, by, given=False) if row.breaks_glass else row


def other_owners(member: Membership) -> list[str]:
    """Addresses of the organization's other owners."""
    rows = Membership.objects.filter(organization=member.organization, role=roles.OWNER, user__is_active=True)
    return list(rows.exclude(pk=member.pk).order_by("user__email").values_list("user__email", flat=True))


def _fresh(member: Membership, by: By) -> Membership:
    organization: Organization = lock(member.organization)
    check_by(by, organization, "owners:write")
    row = Membership.objects.select_related("user").filter(pk=member.pk, organization=organization).first()
    if row is None:
        raise Refused("This person is not a member any more.")
    row.organization = organization
    return row


def take_back(row: Membership, by: By) -> None:
    """As their role no longer decides: in the transaction of that, its organization locked."""
    _set(row, by, given=False)


def _set(row: Membership, by: By, *, given: bool) -> Membership:
    row.breaks_glass = given
    row.save(update_fields=["breaks_glass"])
    tell(
        f"member:{'glass' if given else 'no_glass'}",
        organization=row.organization,
        by=by,
        target=show_id("usr", row.user_id),
        email=row.user.email,
    )
    return row
