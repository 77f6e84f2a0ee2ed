"""People themselves, whatever organizations they belong to. The record of each of those tells of it."""

from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import Organization, User
from accounts.names import clean_name
from accounts.rules import Refused
from audit.ids import show_id
from audit.leaf import Actor
from audit.record import record


def create(*, email: str, name: str, password: str | None) -> User:
    """A person; without a password they log in by single sign-on, or reset it by mail. Raises Refused."""
    try:
        with transaction.atomic():
            return User.objects.create_user(email, password, name=clean_name(name, 120))
    except IntegrityError as error:
        raise Refused(f"There is an account for {email.lower()} already.") from error


def rename(*, user: User, name: str) -> User:
    """Changes one's own name, which others see."""
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        before, user.name = user.name, clean_name(name, 120)
        if user.name != before:
            user.save(update_fields=["name"])
            tell_everywhere(user, "profile:change", changes={"name": {"from": before, "to": user.name}})
    return user


def set_theme(*, user: User, theme: str) -> None:
    """Keeps a person's choice of light or dark. Not worth an event."""
    if theme not in dict(User.THEMES):
        raise Refused("Choose light, dark, or as the system.")
    User.objects.filter(pk=user.pk).update(theme=theme)


def tell_everywhere(user: User, what: str, by: Actor | None = None, /, **data: Any) -> None:
    """Records `what` in each organization the person belongs to, as their own doing unless `by` says otherwise."""
    actor = by or user.actor
    with transaction.atomic():
        for organization in Organization.objects.filter(memberships__user=user).order_by("id"):
            record(
                kind=f"{actor.type}:{what}",
                organization_id=organization.id,
                actor=actor,
                target=show_id("usr", user.id),
                data={"email": user.email} | data,
            )
