"""Personal access tokens, for people's scripts. Agents have keys; the two never meet."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from accounts.models.organization import Membership, Organization
from audit.ids import new_id

SCOPES = {
    "agents:read": "List agents and permissions",
    "agents:write": "Change agents, permissions and keys",
    "approvals:read": "List approvals",
    "approvals:decide": "Approve and deny",
    "approvals:comment": "Comment on approvals, and ask their agents",
    "logs:read": "Read the record",
    "members:read": "List members and teams",
    "members:write": "Invite, change and remove members",
    "settings:read": "Read the organization's settings",
    "settings:write": "Change the organization's settings",
    "subjects:erase": "Erase subjects, for good",
}


class AccessToken(models.Model):
    """A token may do what its scopes and its person's role both allow."""

    membership: Membership  # set by accounts.tokens.authenticate_token

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="access_tokens")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=80)
    scopes = ArrayField(models.CharField(max_length=32, choices=SCOPES))
    token_hash = models.BinaryField(max_length=32, unique=True)
    last4 = models.CharField(max_length=4)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (…{self.last4})"
