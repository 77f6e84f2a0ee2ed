"""Single sign-on: which person an identity provider's account is, when nothing links the two yet.

Taking an unverified address for a proof would let anybody who can type one into a provider take over the account.
"""

from dataclasses import dataclass

from allauth.socialaccount.models import SocialLogin

from accounts.models import User
from accounts.services.invite import accept_by_identity


@dataclass(frozen=True, slots=True)
class Found:
    """The person, or why there is none, for the page that says so."""

    user: User | None
    because: str = ""


def person_for(sociallogin: SocialLogin) -> Found:
    """The member with the address that the provider has verified, or whom an invitation to it makes one."""
    email = _verified_address(sociallogin)
    if not email:
        return Found(None, "unverified")
    user = User.objects.filter(email=email).first()
    if user is None:
        user = accept_by_identity(email=email, name=_name(sociallogin))
        return Found(user, "" if user else "unknown")
    if not user.is_active or not user.memberships.exists():
        return Found(None, "unknown")
    return Found(user)


def _verified_address(sociallogin: SocialLogin) -> str:
    """`email_verified` must be the JSON value true: some providers send the text "false"."""
    for address in sociallogin.email_addresses:
        if address.verified is True and "@" in address.email:
            return str(address.email).strip().lower()
    return ""


def _name(sociallogin: SocialLogin) -> str:
    data = sociallogin.account.extra_data
    for claims in (data.get("userinfo"), data.get("id_token"), data):
        if isinstance(claims, dict) and isinstance(claims.get("name"), str):
            return str(claims["name"])
    return ""
