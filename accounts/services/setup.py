"""The first start: a one-time link, and what it makes. It works once, and only while nobody owns anything."""

import secrets

from django.db import transaction
from django.urls import reverse

from accounts import roles
from accounts.mail import site_url
from accounts.models import Membership, Organization, SetupLink, User
from accounts.rules import Refused
from accounts.services import organizations, people
from accounts.services.invite import hash_link
from audit.clock import database_now
from audit.leaf import Actor

SETUP = Actor("system", "", "set-up")


def is_set_up() -> bool:
    """Whether there is an owner."""
    return Membership.objects.filter(role=roles.OWNER).exists()


def new_link() -> str | None:
    """A fresh link, which voids every older one; None once there is an owner."""
    with transaction.atomic():
        if is_set_up():
            return None
        SetupLink.objects.filter(used_at=None).update(used_at=database_now())
        token = secrets.token_urlsafe(32)
        SetupLink.objects.create(token_hash=hash_link(token))
    return site_url(reverse("accounts:setup", args=[token]))


def works(token: str) -> bool:
    """Whether the link with this token would be taken now."""
    return SetupLink.objects.filter(token_hash=hash_link(token), used_at=None).exists() and not is_set_up()


def complete(*, token: str, email: str, name: str, password: str, organization: str) -> tuple[User, Organization]:
    """Makes the owner and the organization. Of two at once one wins. Raises Refused for the other, and afterwards."""
    with transaction.atomic():
        link = SetupLink.objects.select_for_update().filter(token_hash=hash_link(token), used_at=None).first()
        if link is None or is_set_up():
            raise Refused("This link was used, or a newer one was printed.")
        link.used_at = database_now()
        link.save(update_fields=["used_at"])
        user = people.create(email=email, name=name, password=password)
        made = organizations.create(name=organization, by=SETUP, owner=user)
    return user, made
