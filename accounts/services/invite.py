"""Invitations: invite, resend, revoke, accept. The link is the secret; only its hash is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from accounts import mail
from accounts.by import By, actor_of, lock, role_of, tell
from accounts.models import Invitation, Membership, Organization, User
from accounts.rules import Refused, check_give
from accounts.services import people
from audit.clock import database_now
from audit.ids import show_id

DAYS = 7  # how long an invitation is open


@dataclass(slots=True)
class Issued:
    """A new link. `mail_error` is set after the commit: nothing where the mail was sent, else why not."""

    invitation: Invitation
    link: str
    mail_error: str = ""


def hash_link(token: str) -> str:
    """SHA-256, in hex, of a link's 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_invitations() -> QuerySet[Invitation]:
    """Those that can be accepted now."""
    return Invitation.objects.filter(accepted_at=None, revoked_at=None, expires_at__gt=Now())


def unanswered(organization: Organization) -> QuerySet[Invitation]:
    """Those that were neither accepted nor revoked, expired ones included."""
    return Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)


def invite(*, organization: Organization, email: str, role: str, by: By) -> Issued:
    """Invites an address; the mail leaves after the commit. Raises Refused.

    An expired invitation of the same address is replaced; an open one is refused: resend that.
    """
    email = email.strip().lower()
    with transaction.atomic():
        organization = lock(organization)
        check_give(role_of(by, organization), role)
        if Membership.objects.filter(organization=organization, user__email=email).exists():
            raise Refused(f"{email} is a member already.")
        if open_invitations().filter(organization=organization, email=email).exists():
            raise Refused(f"{email} has an open invitation. Send that one again, or revoke it first.")
        now = database_now()
        unanswered(organization).filter(email=email).update(revoked_at=now)
        token = secrets.token_urlsafe(32)
        invitation = Invitation.objects.create(
            organization=organization,
            email=email,
            role=role,
            token_hash=hash_link(token),
            invited_by=by.user if isinstance(by, Membership) else None,
            expires_at=now + timedelta(days=DAYS),
        )
        target = show_id("inv", invitation.id)
        tell("member:invite", organization=organization, by=by, target=target, email=email, role=role)
        return _issue(invitation, token, by)


def resend(*, invitation: Invitation, by: By) -> Issued:
    """A new link, by mail, for another week; the link sent before opens nothing any more. Raises Refused."""
    with transaction.atomic():
        organization = lock(invitation.organization)
        invitation = _unanswered(invitation)
        check_give(role_of(by, organization), invitation.role)
        token = secrets.token_urlsafe(32)
        invitation.token_hash = hash_link(token)
        invitation.expires_at = database_now() + timedelta(days=DAYS)
        invitation.save(update_fields=["token_hash", "expires_at"])
        target = show_id("inv", invitation.id)
        tell("invitation:resend", organization=organization, by=by, target=target, email=invitation.email)
        return _issue(invitation, token, by)


def revoke(*, invitation: Invitation, by: By) -> None:
    """Closes an invitation. Raises Refused where it was accepted or revoked before."""
    with transaction.atomic():
        organization = lock(invitation.organization)
        invitation = _unanswered(invitation)
        check_give(role_of(by, organization), invitation.role)
        invitation.revoked_at = database_now()
        invitation.save(update_fields=["revoked_at"])
        target = show_id("inv", invitation.id)
        tell("invitation:revoke", organization=organization, by=by, target=target, email=invitation.email)


def find(token: str) -> Invitation | None:
    """The open invitation that a link's token belongs to."""
    return open_invitations().select_related("organization", "invited_by").filter(token_hash=hash_link(token)).first()


def accept(*, token: str, user: User) -> Membership:
    """Lets a person who is logged in under the invited address join. Raises Refused. A second click does no harm."""
    with transaction.atomic():
        invitation = _open(hash_link(token))
        if user.email != invitation.email:
            raise Refused(f"This invitation is for {invitation.email}; you are logged in as {user.email}.")
        return _join(invitation, user)


def accept_as_new(*, token: str, name: str, password: str) -> User:
    """Makes the person an invitation was sent to, and lets them join. Raises Refused where there is an account."""
    with transaction.atomic():
        invitation = _open(hash_link(token))
        user = people.create(email=invitation.email, name=name, password=password)
        _join(invitation, user)
        return user


def accept_by_identity(*, email: str, name: str) -> User | None:
    """Makes the person whose address an identity provider vouches for, and accepts every open invitation to it.

    None where there is no open invitation. The person has no password until they set one.
    """
    with transaction.atomic():
        hashes = list(open_invitations().filter(email=email).values_list("token_hash", flat=True))
        if not hashes:
            return None
        user = people.create(email=email, name=name, password=None)
        for token_hash in hashes:
            _join(_open(token_hash), user)
        return user


def _open(token_hash: str) -> Invitation:
    """The open invitation, its organization and itself locked. Raises Refused."""
    found = open_invitations().select_related("organization").filter(token_hash=token_hash).first()
    if found:
        lock(found.organization)
        found = open_invitations().select_related("organization").filter(token_hash=token_hash).first()
    if found is None:
        raise Refused("This invitation was accepted, revoked or has expired. Ask for a new one.")
    return found


def _unanswered(invitation: Invitation) -> Invitation:
    fresh = Invitation.objects.select_related("organization", "invited_by").filter(pk=invitation.pk).first()
    if fresh is None or fresh.accepted_at or fresh.revoked_at:
        raise Refused("This invitation was accepted or revoked in the meantime.")
    return fresh


def _join(invitation: Invitation, user: User) -> Membership:
    invitation.accepted_at = database_now()
    invitation.save(update_fields=["accepted_at"])
    member, new = Membership.objects.get_or_create(
        organization=invitation.organization, user=user, defaults={"role": invitation.role}
    )
    if new:
        target = show_id("inv", invitation.id)
        tell("member:join", organization=invitation.organization, by=member, target=target, role=member.role)
    return member


def _issue(invitation: Invitation, token: str, by: By) -> Issued:
    issued = Issued(invitation, mail.site_url(reverse("accounts:join", args=[token])))

    def send() -> None:
        issued.mail_error = mail.send(
            to=invitation.email,
            subject=f"Join {invitation.organization} in Warden",
            template="accounts/mail/invitation.txt",
            context={"invitation": invitation, "link": issued.link, "by": actor_of(by).label, "days": DAYS},
        )

    transaction.on_commit(send)
    return issued
