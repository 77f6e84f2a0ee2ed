"""An organization's Slack: connect, change, disconnect, disable; and what the environment says of it."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.by import COMMAND_LINE, By, check_by, tell
from accounts.models import Membership, Organization
from accounts.rules import Refused
from audit.ids import show_id
from audit.leaf import SYSTEM
from notifications import disabling
from notifications.models import Channel, SlackApp
from notifications.slack.client import AT_ONCE, SlackError, ask, token_of
from notifications.vault import Unopenable, seal, unseal

ENVIRONMENT = "Slack (from the environment)"  # the name of the channel that SLACK_CHANNEL makes


def connect(
    *, organization: Organization, by: By, bot_token: str, signing_secret: str = "", app_token: str = ""
) -> SlackApp:
    """Connects the workspace whose bot token this is, in the place of any other; empty secrets keep those stored.

    Asks Slack (auth.test) first. Raises Refused with a sentence for the person where the token is none, the workspace
    belongs to another organization, or a secret is missing.
    """
    who = identity(bot_token) if bot_token else {}
    with transaction.atomic():
        check_by(by, organization, "settings:write")
        app = SlackApp.objects.select_for_update().filter(organization=organization).first()
        if app is None and not bot_token:
            raise Refused("Enter the bot token: it begins with xoxb-.")
        if app is None:
            app = SlackApp(organization=organization, created_by=by.user if isinstance(by, Membership) else None)
        for name, value in {"bot_token": bot_token, "signing_secret": signing_secret, "app_token": app_token}.items():
            if value:
                setattr(app, name, seal(value))
        if not (app.signing_secret or app.app_token or settings.SLACK_SIGNING_SECRET):
            raise Refused("Enter the signing secret, or an app token for Socket Mode: without one no click counts.")
        for name, value in who.items():
            setattr(app, name, value)
        app.is_active, app.disabled_because = True, ""
        _save(app)
        tell(
            "slack:connect",
            organization=organization,
            by=by,
            target=show_id("slk", app.id),
            team=app.team_id,
            name=app.team_name,
            socket_mode=bool(app.app_token),
        )
    return app


def disconnect(*, organization: Organization, by: By) -> None:
    """Forgets the installation and its secrets. Cards that stand in Slack stay there, and their buttons do nothing."""
    with transaction.atomic():
        check_by(by, organization, "settings:write")
        app = SlackApp.objects.select_for_update().filter(organization=organization).first()
        if app is None:
            return
        target, team, name = show_id("slk", app.id), app.team_id, app.team_name
        app.delete()
        tell("slack:disconnect", organization=organization, by=by, target=target, team=team, name=name)


def disable(app: SlackApp, because: str) -> None:
    """Nothing is sent and no click counts until somebody connects it again: Slack told us that the token is void.

    Its channels are disabled with it, so that the admins hear of it by mail before anybody misses a card.
    """
    with transaction.atomic():
        changed = SlackApp.objects.filter(id=app.id, is_active=True, bot_token=app.bot_token).update(
            is_active=False, disabled_because=because[:500]
        )
        if changed:
            target = show_id("slk", app.id)
            tell("slack:disable", organization=app.organization, by=SYSTEM, target=target, because=because[:500])
            mine = Channel.objects.filter(organization=app.organization, transport="slack", is_active=True)
            for channel in mine.order_by("id"):
                disabling.disable(channel.id, address=channel.address, because=because)


def identity(bot_token: str) -> dict[str, Any]:
    """What auth.test says of a bot token, as fields of SlackApp. Raises Refused."""
    if not bot_token.startswith("xoxb-"):
        raise Refused("That is not a bot token: one begins with xoxb-. It is on the page OAuth & Permissions.")
    try:
        return _identity(bot_token)
    except SlackError as error:
        raise Refused(str(error)) from error


def identify(app: SlackApp, *, timeout: int = AT_ONCE) -> SlackApp:
    """Fills in which workspace it is, where only the token is known so far (environment). Raises SlackError."""
    if not app.team_id:
        fields = _identity(token_of(app), timeout=timeout)
        for name, value in fields.items():
            setattr(app, name, value)
        _save(app, update_fields=[*fields])
    return app


def _identity(bot_token: str, *, timeout: int = 6) -> dict[str, Any]:
    answer = ask(bot_token, "auth.test", timeout=timeout)
    if answer.get("is_enterprise_install"):
        raise SlackError("enterprise_install", "Install the app into one workspace, not into the whole Grid.")
    if not answer.get("team_id"):
        raise SlackError("unreachable", "Slack did not say which workspace this token belongs to.")
    return {
        "enterprise_id": str(answer.get("enterprise_id") or ""),
        "team_id": str(answer.get("team_id") or ""),
        "team_name": str(answer.get("team", ""))[:120],
        "bot_user_id": str(answer.get("user_id", "")),
    }


def _save(app: SlackApp, **options: Any) -> None:
    try:
        with transaction.atomic():
            app.save(**options)
    except IntegrityError as error:
        raise Refused("This workspace is connected to another organization of this Warden.") from error


def signing_secret_of(app: SlackApp) -> str:
    """The secret that signs what Slack sends for this app: its own, or that of the environment's app. May be empty."""
    try:
        return unseal(app.signing_secret) or settings.SLACK_SIGNING_SECRET
    except Unopenable:
        return ""  # nothing verifies; the settings page says that the secrets must be entered again


def of_environment() -> bool:
    """Whether SLACK_BOT_TOKEN configures the first organization, so that its page changes nothing."""
    return bool(settings.SLACK_BOT_TOKEN)


def check_by_hand(organization: Organization) -> None:
    """Raises Refused where the environment says what this organization's Slack is."""
    if of_environment() and organization == first_organization():
        raise Refused("The environment configures Slack here: SLACK_BOT_TOKEN.")


def first_organization() -> Organization | None:
    return Organization.objects.order_by("created_at", "id").first()


def adopt() -> None:
    """Gives the first organization what SLACK_* in the environment say. Runs after each `migrate`; may run twice.

    No call to Slack: a Slack that is down must not keep Warden from starting. Which workspace it is, is asked later.
    """
    organization = first_organization() if of_environment() else None
    if organization is None:
        return
    wanted = {
        "bot_token": settings.SLACK_BOT_TOKEN,
        "signing_secret": settings.SLACK_SIGNING_SECRET,
        "app_token": settings.SLACK_APP_TOKEN,
    }
    with transaction.atomic():
        app = SlackApp.objects.select_for_update().filter(organization=organization).first()
        if app is None or any(_opened(getattr(app, name)) != value for name, value in wanted.items()):
            app = app or SlackApp(organization=organization)
            for name, value in wanted.items():
                setattr(app, name, seal(value))
            app.enterprise_id = app.team_id = app.team_name = app.bot_user_id = ""
            app.is_active, app.disabled_because = True, ""
            app.save()
            tell("slack:connect", organization=organization, by=COMMAND_LINE, target=show_id("slk", app.id))
        _adopt_channel(organization)


def _adopt_channel(organization: Organization) -> None:
    """The channel of SLACK_CHANNEL; a new name in the environment moves it, and what people set of it stays."""
    address = settings.SLACK_CHANNEL
    if not address:
        return
    channel, is_new = Channel.objects.get_or_create(
        organization=organization, mode="live", name=ENVIRONMENT, defaults={"transport": "slack", "address": address}
    )
    moved = (
        Channel.objects.filter(id=channel.id)
        .exclude(address=address)
        .update(address=address, is_active=True, disabled_at=None, disabled_because="")
    )
    if is_new or moved:
        what = "channel:create" if is_new else "channel:change"
        tell(what, organization=organization, by=COMMAND_LINE, target=show_id("chn", channel.id), name=channel.name)


def _opened(sealed: str) -> str | None:
    try:
        return unseal(sealed)
    except Unopenable:
        return None
