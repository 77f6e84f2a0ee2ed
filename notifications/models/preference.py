"""How one person wants to hear from one organization."""

from django.db import models

from accounts.models import Membership


class Preference(models.Model):
    """Without a row: mail at once, no quiet hours."""

    class Mail(models.TextChoices):
        NOW = "now", "A mail for each request"
        HOURLY = "hourly", "A digest every hour"
        DAILY = "daily", "A digest every morning"
        NONE = "none", "No mail"

    membership = models.OneToOneField(Membership, models.CASCADE, related_name="preference")
    mail = models.CharField(max_length=6, choices=Mail, default=Mail.NOW)
    test_mode = models.BooleanField(default=False, help_text="Hear of test requests too.")
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")
    critical_always = models.BooleanField(
        default=True, help_text="Critical risk is mailed at once, whatever the hour or the digest."
    )
    digest_due_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["digest_due_at"], name="digest_due")]  # the sweep
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quiet_from=None, quiet_until=None)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="preference_quiet_pair",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.membership}: {self.mail}"
