"""Access tokens: make, revoke. What they open is judged at every use: see accounts.tokens."""

from collections.abc import Collection
from datetime import timedelta

from django.db import transaction

from accounts.by import By, check_by, lock, role_of, tell
from accounts.models import SCOPES, AccessToken, Membership
from accounts.names import clean_name
from accounts.rules import Refused, check_touch, scopes_to_give
from accounts.secrets import hash_secret, new_secret
from audit.clock import database_now
from audit.ids import show_id

PREFIX = "wpat_"
LONGEST_DAYS = 366


def create(
    *, member: Membership, name: str, scopes: Collection[str], days: int | None, by: By
) -> tuple[AccessToken, str]:
    """A token for `member` and the secret itself, which is kept nowhere. `days` until it expires; None: never.

    Only the person, or the system, makes a person's token. Raises Refused where a scope is not in their role.
    """
    with transaction.atomic():
        organization = lock(member.organization)
        if isinstance(by, Membership) and by.pk != member.pk:
            raise Refused("Nobody makes access tokens for somebody else.")
        role = role_of(member, organization)
        role_of(by, organization)
        asked = [scope for scope in SCOPES if scope in set(scopes)]
        if len(asked) != len(set(scopes)) or not asked:
            raise Refused(f"Name at least one scope. Scopes are {', '.join(SCOPES)}.")
        if beyond := [scope for scope in asked if scope not in scopes_to_give(role, SCOPES)]:
            raise Refused(f"The role {role} does not include {', '.join(beyond)}.")
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise Refused(f"A token lives from 1 to {LONGEST_DAYS} days, or does not expire.")
        name = clean_name(name, 80)
        if not name:
            raise Refused("Give the token a name that says what uses it.")
        raw = new_secret(PREFIX)
        token = AccessToken.objects.create(
            user=member.user,
            organization=organization,
            name=name,
            scopes=asked,
            token_hash=hash_secret(raw),
            last4=raw[-4:],
            expires_at=database_now() + timedelta(days=days) if days else None,
        )
        tell(
            "token:create",
            organization=organization,
            by=by,
            target=show_id("tok", token.id),
            email=member.user.email,
            name=token.name,
            scopes=token.scopes,
            expires_at=token.expires_at.isoformat() if token.expires_at else None,
        )
    return token, raw


def revoke(*, token: AccessToken, by: By) -> None:
    """Ends a token for good: one's own, or somebody's whom `by` could remove. Raises Refused."""
    with transaction.atomic():
        organization = lock(token.organization)
        if not (isinstance(by, Membership) and by.user_id == token.user_id):
            role = check_by(by, organization, "members:write")
            owner = Membership.objects.filter(organization=organization, user=token.user_id).first()
            check_touch(role, owner.role if owner else "")
        if AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=database_now()):
            tell(
                "token:revoke",
                organization=organization,
                by=by,
                target=show_id("tok", token.id),
                email=token.user.email,
                name=token.name,
            )
