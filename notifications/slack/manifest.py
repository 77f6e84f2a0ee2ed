"""The app manifest: what Slack has to be told of this Warden, ready to paste."""

import json

from django.conf import settings

SCOPES = [
    "chat:write",  # post and update cards
    "chat:write.public",  # in public channels without an invitation
    "channels:history",  # find a card whose posting was cut off, instead of posting a second one
    "groups:history",
    "commands",  # /warden
    "users:read",  # is this person a guest, a bot, deactivated?
]
EVENTS = ["app_uninstalled", "tokens_revoked"]


def manifest(*, socket_mode: bool) -> str:
    """The manifest as JSON. With Socket Mode Slack never calls us, so it holds no address of ours."""
    site = settings.SITE_URL
    command = {"command": "/warden", "description": "Requests that wait for your decision", "should_escape": False}
    interactivity: dict[str, object] = {"is_enabled": True}
    events: dict[str, object] = {"bot_events": EVENTS}
    oauth: dict[str, object] = {"scopes": {"bot": SCOPES}}
    if not socket_mode:
        command["url"] = f"{site}/slack/commands"
        interactivity["request_url"] = f"{site}/slack/interactions"
        events["request_url"] = f"{site}/slack/events"
        oauth["redirect_urls"] = [f"{site}/slack/oauth"]
    return json.dumps(
        {
            "display_information": {"name": "Warden", "description": "People decide what AI agents may do"},
            "features": {
                "bot_user": {"display_name": "Warden", "always_online": True},
                "slash_commands": [command],
            },
            "oauth_config": oauth,
            "settings": {
                "event_subscriptions": events,
                "interactivity": interactivity,
                "org_deploy_enabled": False,
                "socket_mode_enabled": socket_mode,
                "token_rotation_enabled": False,
            },
        },
        indent=2,
    )
