"""Who is who: a person of Warden and a user of Slack, linked by logging in and confirming. Never by an e-mail match."""

import secrets
from dataclasses import asdict, dataclass

from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse

from accounts.by import COMMAND_LINE
from accounts.models import Membership, User
from accounts.rules import Refused
from audit.clock import database_now
from audit.ids import show_id
from audit.record import record
from notifications.models import SlackApp, SlackCall, SlackLink
from notifications.slack.client import AT_ONCE, SlackError, ask, token_of

LASTS = 600  # seconds from the click in Slack to the confirmation in Warden
_SALT = "notifications.slack.links"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link out of Slack says: this Slack user wants to be somebody here, until then, once."""

    enterprise_id: str
    team_id: str
    slack_user_id: str
    until: int  # seconds since 1970, by the database's clock
    nonce: str


def offer(app: SlackApp, slack_user_id: str) -> str:
    """The path of the page where this Slack user's link is confirmed."""
    made = Offer(
        app.enterprise_id,
        app.team_id,
        slack_user_id,
        int(database_now().timestamp()) + LASTS,
        secrets.token_urlsafe(12),
    )
    return reverse("slack:link", args=[signing.dumps(asdict(made), salt=_SALT)])


def read_offer(token: str) -> tuple[Offer, SlackApp]:
    """The offer and the installation it came through. Raises Refused where it is forged, late or used."""
    try:
        read = Offer(**signing.loads(token, salt=_SALT))
    except (signing.BadSignature, TypeError, ValueError) as error:
        raise Refused("This link is not one of ours. Click a button in Slack to get another.") from error
    used = SlackCall.objects.filter(signature=_spent(read)).exists()
    if used or read.until < database_now().timestamp():
        raise Refused("This link was used, or is older than ten minutes. Click a button in Slack to get another.")
    app = SlackApp.objects.select_related("organization").filter(
        enterprise_id=read.enterprise_id, team_id=read.team_id, is_active=True
    )
    if not app:
        raise Refused("This workspace is not connected to Warden any more.")
    return read, app[0]


def confirm(*, token: str, by: User) -> SlackLink:
    """Links the person who is logged in with the Slack user of the offer, once. Raises Refused."""
    read, app = read_offer(token)
    if not Membership.objects.filter(organization=app.organization, user=by).exists():
        raise Refused(f"You do not belong to {app.organization}: log in as somebody who does.")
    with transaction.atomic():
        _, is_first = SlackCall.objects.get_or_create(signature=_spent(read))
        if not is_first:
            raise Refused("This link was used already.")
        return link(user=by, enterprise_id=read.enterprise_id, team_id=read.team_id, slack_user_id=read.slack_user_id)


def link(
    *, user: User, team_id: str, slack_user_id: str, enterprise_id: str = "", command_line: bool = False
) -> SlackLink:
    """Makes them one. A person has one Slack user in a workspace: another one they had is replaced.

    Raises Refused where the Slack user is somebody else here.
    """
    key = {"enterprise_id": enterprise_id, "team_id": team_id}
    with transaction.atomic():
        standing = SlackLink.objects.select_for_update().filter(user=user, **key).first()
        if standing and standing.slack_user_id == slack_user_id:
            return standing
        if standing:
            standing.delete()
        try:
            with transaction.atomic():
                made = SlackLink.objects.create(user=user, slack_user_id=slack_user_id, **key)
        except IntegrityError as error:
            raise Refused("This Slack user is linked to another account. Unlink it there first.") from error
        _tell("slack:link", made, command_line=command_line)
    return made


def unlink(*, user: User, link_id: int) -> None:
    """Ends one of the person's own links; nothing happens where it is gone."""
    with transaction.atomic():
        standing = SlackLink.objects.select_for_update().filter(user=user, id=link_id).first()
        if standing:
            _tell("slack:unlink", standing)
            standing.delete()


def name_in_slack(app: SlackApp, slack_user_id: str) -> str:
    """How Slack calls them, for the page that asks; the bare id where Slack does not say."""
    try:
        user = ask(token_of(app), "users.info", timeout=AT_ONCE * 3, user=slack_user_id).get("user") or {}
    except SlackError:
        return slack_user_id
    return f"{user.get('real_name') or user.get('name') or ''} (@{user.get('name', '')}, {slack_user_id})"


def _spent(read: Offer) -> str:
    return f"link:{read.nonce}"


def _tell(what: str, made: SlackLink, *, command_line: bool = False) -> None:
    """Records it in every organization of the person whose Slack this is."""
    actor = COMMAND_LINE if command_line else made.user.actor
    target = show_id("usr", made.user.id)
    data = {"email": made.user.email, "team": made.team_id, "slack_user": made.slack_user_id}
    apps = SlackApp.objects.filter(
        team_id=made.team_id, enterprise_id=made.enterprise_id, organization__memberships__user=made.user
    )
    for organization_id in apps.values_list("organization_id", flat=True):
        kind = f"{actor.type}:{what}"
        record(kind=kind, organization_id=organization_id, actor=actor, target=target, data=data)
