"""Instances of an agent that speak AAP, and the tokens that make them. See docs/aap.md."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from agents.models.agent import Agent
from agents.models.key import ApiKey
from audit.ids import new_id

PREFIX = "wprv_"


class Provisioner(models.Model):
    """A token that makes, changes and retires instances of one agent, and can do nothing else."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="provisioners")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="provisioners")
    mode = models.CharField(max_length=4, choices=[("live", "Live"), ("test", "Test")])
    environment = models.CharField(max_length=32, blank=True, help_text="What its instances prove.")
    name = models.CharField(max_length=80)
    token_hash = models.BinaryField(max_length=32, unique=True)
    last4 = models.CharField(max_length=4)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.CheckConstraint(condition=models.Q(mode__in=["live", "test"]), name="provisioner_mode")]

    def __str__(self) -> str:
        return f"{self.name} ({self.shown})"

    @property
    def shown(self) -> str:
        """What may be shown of the token: `wprv_…wxyz`."""
        return f"{PREFIX}…{self.last4}"


class Instance(models.Model):
    """One running or installed agent: a key with the scope `aap`, and where it is told that a call was decided.

    Secrets are sealed by those who hand them in (notifications.vault).
    """

    key = models.OneToOneField(ApiKey, models.CASCADE, primary_key=True, related_name="instance")
    provisioner = models.ForeignKey(Provisioner, models.CASCADE, related_name="instances")
    creation_key = models.CharField(max_length=200, help_text="Idempotency key of its creation.")
    creation_hash = models.BinaryField(max_length=32)
    issued = models.TextField(blank=True, help_text="Sealed: the credential, for a week, for whoever asks again.")
    delivery_url = models.CharField(max_length=2_048, blank=True)
    registration_id = models.CharField(max_length=36, blank=True)
    delivery_secret = models.TextField(blank=True, help_text="Sealed: what notifications are signed with.")
    delivery_since = models.DateTimeField(null=True, blank=True, help_text="Since when it has a receiver, any.")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provisioner", "creation_key"], name="instance_once"),
            models.CheckConstraint(
                condition=models.Q(delivery_url="", registration_id="", delivery_secret="", delivery_since=None)
                | (
                    ~models.Q(delivery_url="")
                    & ~models.Q(registration_id="")
                    & ~models.Q(delivery_secret="")
                    & models.Q(delivery_since__isnull=False, retired_at=None)
                ),
                name="instance_delivery",
            ),
        ]

    def __str__(self) -> str:
        return self.key.name
