"""Access tokens at the door: who comes with one, and what it opens at this moment."""

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.by import tell
from accounts.models import AccessToken, Membership
from accounts.secrets import hash_secret, is_well_formed
from accounts.services.tokens import PREFIX
from audit.ids import show_id

# The time of the last use is kept to the minute: a busy script must not write at every request.
TOUCH = """
UPDATE accounts_accesstoken SET last_used_at = clock_timestamp()
WHERE id = %s AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
"""


def authenticate_token(raw: str) -> AccessToken | None:
    """The token that `raw` is, with `.membership`; None unless it, its person and their membership are all valid now.

    The first use of a token is recorded.
    """
    if not is_well_formed(raw, PREFIX):
        return None
    token = (
        AccessToken.objects.select_related("user", "organization")
        .filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, user__is_active=True)
        .filter(token_hash=hash_secret(raw))
        .first()
    )
    if token is None:
        return None
    membership = Membership.objects.filter(organization=token.organization_id, user=token.user_id).first()
    if membership is None:
        return None
    membership.user, membership.organization = token.user, token.organization
    token.membership = membership
    _touch(token)
    return token


def token_may(token: AccessToken, ability: str) -> bool:
    """Whether both the token's scopes and its person's role include `ability`."""
    return ability in token.scopes and token.membership.may(ability)


def _touch(token: AccessToken) -> None:
    with transaction.atomic():
        if token.last_used_at is not None:
            with transaction.get_connection().cursor() as cursor:
                cursor.execute(TOUCH, [token.id])
        elif AccessToken.objects.filter(pk=token.pk, last_used_at=None).update(last_used_at=Now()):
            target = show_id("tok", token.id)
            tell(
                "token:first_use", organization=token.organization, by=token.membership, target=target, name=token.name
            )
