"""What django-allauth and django-axes do, told to the record: log-ins, failures, second factors, identities, addresses.

Views of django-allauth run in one transaction each (accounts.urls), so that these events commit with what they tell of.
"""

from typing import Any

import structlog
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.signals import email_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from allauth.socialaccount.models import SocialAccount
from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.lockout import client_ip
from accounts.models import User
from accounts.services.people import tell_everywhere
from audit.leaf import SYSTEM

log = structlog.get_logger(__name__)


def _methods(request: HttpRequest, user: User) -> list[str]:
    """How the person proved who they are: password, mfa:totp, mfa:webauthn, socialaccount …"""
    records = get_authentication_records(request, user)
    return [f"{each['method']}:{each['type']}" if "type" in each else each["method"] for each in records]


@receiver(user_logged_in)
def logged_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    tell_everywhere(user, "session:login", ip=client_ip(request) or "", methods=_methods(request, user))


@receiver(user_logged_out)
def logged_out(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    if user:
        tell_everywhere(user, "session:logout", ip=client_ip(request) or "")


@receiver(user_login_failed)
def login_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Nobody proved to be that person, so Warden itself is who saw it."""
    _told_of_login("session:failure", str(credentials.get("login") or ""), request)


@receiver(user_locked_out)
def locked_out(sender: Any, request: HttpRequest, username: str | None, **_: Any) -> None:
    _told_of_login("session:lockout", username or "", request)


def _told_of_login(what: str, email: str, request: HttpRequest | None) -> None:
    ip = (client_ip(request) if request else None) or ""
    user = User.objects.filter(email=email.lower()).first()
    if user:
        tell_everywhere(user, what, SYSTEM, ip=ip)
    else:
        log.info("login.unknown", what=what, ip=ip)


@receiver(authentication_failed)
def second_factor_failed(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """A wrong code counts like a wrong password: the same lock-out, the same event."""
    user_login_failed.send(sender=sender, credentials={"login": user.email}, request=request)


@receiver(post_save, sender=Authenticator)
def factor_added(sender: Any, instance: Authenticator, created: bool, **_: Any) -> None:
    if created:
        tell_everywhere(instance.user, "mfa:add", **_factor(instance))


@receiver(post_delete, sender=Authenticator)
def factor_removed(sender: Any, instance: Authenticator, **_: Any) -> None:
    tell_everywhere(instance.user, "mfa:remove", **_factor(instance))


def _factor(instance: Authenticator) -> dict[str, str]:
    """Its kind and, of a passkey, its name: never its secret."""
    wrapped = instance.wrap()
    return {"type": str(instance.type), "name": str(wrapped.name) if instance.type == "webauthn" else ""}


@receiver(post_save, sender=SocialAccount)
def identity_connected(sender: Any, instance: SocialAccount, created: bool, **_: Any) -> None:
    if created:
        tell_everywhere(instance.user, "identity:connect", provider=instance.provider, subject=instance.uid)


@receiver(post_delete, sender=SocialAccount)
def identity_disconnected(sender: Any, instance: SocialAccount, **_: Any) -> None:
    tell_everywhere(instance.user, "identity:disconnect", provider=instance.provider, subject=instance.uid)


@receiver(email_changed)
def address_changed(sender: Any, user: User, from_email_address: Any, to_email_address: Any, **_: Any) -> None:
    before = from_email_address.email if from_email_address else ""
    tell_everywhere(user, "email:change", changes={"email": {"from": before, "to": to_email_address.email}})
