"""What Slack joins in when Warden starts."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from accounts.pages import Page, register
from accounts.signals import organization_created
from notifications.slack import apps


def ready(config: AppConfig) -> None:
    """Registers the settings page, and takes up what the environment says once there is an organization for it."""
    register(
        Page("slack:settings", "Slack", "The app, its workspace, its channels.", "message-square", "settings:read", 56)
    )
    post_migrate.connect(_adopt, sender=config, dispatch_uid="slack")
    organization_created.connect(_adopt, dispatch_uid="slack")


def _adopt(**_: Any) -> None:
    apps.adopt()
