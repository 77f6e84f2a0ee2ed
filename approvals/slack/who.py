"""Who clicked: a person of Warden who linked this Slack user, and whom Slack calls a full member at this moment."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from accounts.models import Membership, User
from approvals import rules
from approvals.case import person_of
from approvals.slack.verify import slack_id
from notifications.models import SlackApp, SlackLink
from notifications.slack import links
from notifications.slack.client import AT_ONCE, SlackError, ask, token_of

FRESH = 60.0  # seconds for which Slack's word about a user is believed
_known: dict[tuple[str, str], tuple[float, str]] = {}  # of this process: (team, user) → (until, why not)


class Unable(Exception):
    """This Slack user cannot decide. The text says why and what to do; `url` is where to link, if that would help."""

    def __init__(self, text: str, url: str = "") -> None:
        super().__init__(text)
        self.text, self.url = text, url


@dataclass(frozen=True, slots=True)
class Clicker:
    """A Slack user as a signed request names them. `team` is theirs, which need not be that of the app."""

    user: str
    team: str

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "Clicker":
        user = payload.get("user")
        if isinstance(user, dict):
            return cls(slack_id(user.get("id")), slack_id(user.get("team_id")))
        return cls(slack_id(payload.get("user_id")), "")


def person(app: SlackApp, clicker: Clicker) -> User:
    """The person. Raises Unable for guests, outsiders, bots, the deactivated and whoever is not linked."""
    if not clicker.user:
        raise Unable("Slack did not say who you are.")
    ours = {"", app.team_id, app.enterprise_id}
    why_not = "You are of another organization" if clicker.team not in ours else _standing(app, clicker.user)
    if why_not:
        raise Unable(f"{why_not}: only full members of {app} decide in Slack. Decide in Warden, if you may there.")
    link = (
        SlackLink.objects.select_related("user")
        .filter(enterprise_id=app.enterprise_id, team_id=app.team_id, slack_user_id=clicker.user)
        .first()
    )
    if link is None:
        raise Unable(
            "Warden does not know who you are yet. Log in there and confirm, once; then click again. "
            "This link is for you alone and works for ten minutes.",
            settings.SITE_URL + links.offer(app, clicker.user),
        )
    if not link.user.is_active:
        raise Unable("Your account in Warden is deactivated.")
    return link.user


def at_the_desk(app: SlackApp, user: User) -> rules.Person:
    """The person as the rules see them."""
    return person_of(app.organization_id, user.id)


def membership(app: SlackApp, user: User) -> Membership:
    """Their membership. Raises Unable where they are none of the organization's (any more)."""
    found = Membership.objects.select_related("organization", "user").filter(organization=app.organization, user=user)
    if not found:
        raise Unable(f"You do not belong to {app.organization} in Warden.")
    return found[0]


def _standing(app: SlackApp, user: str) -> str:
    """Why Slack's word on this user bars them, at most a minute old; empty for a full member. Raises Unable."""
    until, why_not = _known.get((app.team_id, user), (0.0, ""))
    if until > time.monotonic():
        return why_not
    try:
        answer = ask(token_of(app), "users.info", timeout=AT_ONCE, user=user)
    except SlackError as error:
        raise Unable("Slack does not say who you are at the moment. Try again, or decide in Warden.") from error
    why_not = _why_not(answer.get("user") or {"deleted": True}, app)
    if len(_known) > 10_000:
        _known.clear()
    _known[app.team_id, user] = (time.monotonic() + FRESH, why_not)
    return why_not


def _why_not(user: Mapping[str, Any], app: SlackApp) -> str:
    if user.get("deleted"):
        return "Your Slack account is deactivated"
    if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == "USLACKBOT":
        return "You are a bot"
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return "You are a guest in this workspace"
    if user.get("is_stranger") or user.get("team_id") not in {app.team_id, app.enterprise_id or app.team_id}:
        return "You are of another organization"
    return ""


def forget() -> None:
    """Believes nothing that Slack said before."""
    _known.clear()
