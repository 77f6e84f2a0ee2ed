"""Slack: the installation, who is who, the cards that were posted, and the calls that were taken."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from audit.ids import new_id


class SlackApp(models.Model):
    """One organization's installation. Tokens and secrets are sealed (notifications.vault)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.OneToOneField(Organization, models.CASCADE, related_name="slack")
    enterprise_id = models.CharField(max_length=32, blank=True)
    team_id = models.CharField(max_length=32, blank=True)
    team_name = models.CharField(max_length=120, blank=True)
    bot_user_id = models.CharField(max_length=32, blank=True)
    bot_token = models.TextField()
    signing_secret = models.TextField(blank=True)
    app_token = models.TextField(blank=True, help_text="xapp-…: Socket Mode, for those with no public address.")
    line_at = models.DateTimeField(null=True, blank=True, help_text="When a process last held its line (Socket Mode).")
    is_active = models.BooleanField(default=True)
    disabled_because = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise_id", "team_id"], condition=~models.Q(team_id=""), name="slack_team_unique"
            )
        ]

    def __str__(self) -> str:
        return self.team_name or self.team_id or "Slack"


class SlackLink(models.Model):
    """A person and their Slack user, linked by logging in and confirming: never by an e-mail match."""

    user = models.ForeignKey(User, models.CASCADE, related_name="slack_links")
    enterprise_id = models.CharField(max_length=32, blank=True)
    team_id = models.CharField(max_length=32)
    slack_user_id = models.CharField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["enterprise_id", "team_id", "slack_user_id"], name="slack_user_once"),
            models.UniqueConstraint(fields=["user", "enterprise_id", "team_id"], name="slack_person_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.slack_user_id}"


class SlackPost(models.Model):
    """A card that stands in a Slack channel, to be updated on every ending."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="slack_posts")
    target = models.CharField(max_length=64, help_text="apr_01J…")
    slack_channel = models.CharField(max_length=32)
    ts = models.CharField(max_length=32)
    shown = models.CharField(max_length=64, blank=True, help_text="Hash of what it shows now.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["slack_channel", "ts"], name="slack_post_once")]
        indexes = [models.Index(fields=["target"], name="slack_post_target")]

    def __str__(self) -> str:
        return f"{self.target} in {self.slack_channel}"


class SlackCall(models.Model):
    """A signature that was accepted: each once (I7). Kept ten minutes, twice the window of a timestamp."""

    signature = models.CharField(max_length=80, primary_key=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["at"], name="slack_call_age")]

    def __str__(self) -> str:
        return self.signature
