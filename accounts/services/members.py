"""Members: add, change the role, remove, leave. One organization's changes happen one after the other."""

from django.db import transaction

from accounts import roles
from accounts.by import By, lock, role_of, tell
from accounts.models import AccessToken, Membership, Organization, User
from accounts.rules import Refused, check_give, check_owner_left, check_touch
from accounts.services import break_glass
from audit.clock import database_now
from audit.ids import show_id


def _fresh(member: Membership) -> Membership:
    """The membership as it is now, its organization locked. Raises Refused where it is gone."""
    organization = lock(member.organization)
    fresh = Membership.objects.select_related("user").filter(pk=member.pk, organization=organization).first()
    if fresh is None:
        raise Refused("This person is not a member any more.")
    fresh.organization = organization
    return fresh


def _owners(organization: Organization) -> int:
    return Membership.objects.filter(organization=organization, role=roles.OWNER, user__is_active=True).count()


def add(*, organization: Organization, user: User, role: str, by: By) -> Membership:
    """Makes `user` a member. Raises Refused where they are one, or `by` may not give the role."""
    with transaction.atomic():
        organization = lock(organization)
        check_give(role_of(by, organization), role)
        if Membership.objects.filter(organization=organization, user=user).exists():
            raise Refused(f"{user.email} is a member already.")
        member = Membership.objects.create(organization=organization, user=user, role=role)
        target = show_id("usr", user.id)
        tell("member:add", organization=organization, by=by, target=target, email=user.email, role=role)
    return member


def change_role(*, member: Membership, role: str, by: By) -> Membership:
    """Gives a member another role. Raises Refused: only owners touch owners, and one owner stays."""
    with transaction.atomic():
        member = _fresh(member)
        own = role_of(by, member.organization)
        check_touch(own, member.role)
        check_give(own, role)
        if role == member.role:
            return member
        check_owner_left(member.role, _owners(member.organization))
        before, member.role = member.role, role
        member.save(update_fields=["role"])
        if member.breaks_glass and not roles.may(role, "approvals:decide"):
            break_glass.take_back(member, by)
        tell(
            "member:role",
            organization=member.organization,
            by=by,
            target=show_id("usr", member.user_id),
            email=member.user.email,
            **{"from": before, "to": role},
        )
    return member


def remove(*, member: Membership, by: By) -> None:
    """Ends a membership: its teams forget it and its access tokens are revoked. Raises Refused."""
    with transaction.atomic():
        member = _fresh(member)
        check_touch(role_of(by, member.organization), member.role)
        _end(member, by, "member:remove")


def leave(*, member: Membership) -> None:
    """Ends one's own membership. Raises Refused for the last owner."""
    with transaction.atomic():
        member = _fresh(member)
        _end(member, member, "member:leave")


def _end(member: Membership, by: By, what: str) -> None:
    check_owner_left(member.role, _owners(member.organization))
    tokens = AccessToken.objects.filter(organization=member.organization, user=member.user, revoked_at=None)
    teams = sorted(member.teams.values_list("slug", flat=True))
    tell(
        what,
        organization=member.organization,
        by=by,
        target=show_id("usr", member.user_id),
        email=member.user.email,
        role=member.role,
        teams=teams,
        tokens_revoked=tokens.update(revoked_at=database_now()),
    )
    member.delete()
