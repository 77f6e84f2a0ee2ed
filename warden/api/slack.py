"""/api/slack: which workspace the organization is connected to."""

from typing import Annotated

from msgspec import Meta, Struct, structs

from notifications.management.base import slack_data
from notifications.models import SlackApp
from notifications.slack import apps
from warden.api.bodies import PLAIN
from warden.api.endpoint import Call, endpoint
from warden.api.errors import missing

Secret = Annotated[str, Meta(max_length=500, pattern=PLAIN, description="Empty: what is stored stays.")]


class ConnectSlack(Struct, forbid_unknown_fields=True):
    """Secrets of the app. They are sealed, and nobody can read them again."""

    bot_token: Secret = ""
    signing_secret: Secret = ""
    app_token: Secret = ""


class Slack(Struct):
    """A workspace. `socket_mode`: an app token is stored; `line_is_open`: and some process holds the line."""

    team: str
    team_name: str
    enterprise: str | None
    socket_mode: bool
    line_is_open: bool | None
    is_active: bool
    disabled_because: str | None


@endpoint("GET", "slack", "settings:read")
def get_slack(call: Call) -> Slack:
    """Get the Slack workspace that is connected."""
    app = SlackApp.objects.filter(organization=call.organization).first()
    if app is None:
        raise missing("Slack")
    return Slack(**slack_data(app))


@endpoint("PUT", "slack", "settings:write")
def connect_slack(call: Call, body: ConnectSlack) -> Slack:
    """Connect a workspace, or change its secrets. Slack is asked first whether the bot token is one."""
    apps.check_by_hand(call.organization)
    return Slack(**slack_data(apps.connect(organization=call.organization, by=call.membership, **structs.asdict(body))))


@endpoint("DELETE", "slack", "settings:write", 204)
def disconnect_slack(call: Call) -> None:
    """Disconnect Slack, and forget its secrets."""
    apps.check_by_hand(call.organization)
    apps.disconnect(organization=call.organization, by=call.membership)
