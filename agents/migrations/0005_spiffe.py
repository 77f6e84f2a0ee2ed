"""A SPIFFE ID is one agent's in its organization; which organization a trust domain speaks for is configured."""

import agents.spiffe.names
from django.db import migrations, models

FORWARDS = (
    "CREATE CONSTRAINT TRIGGER accounts_organization_paths_epoch AFTER UPDATE OF authz_paths ON accounts_organization"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();"
)
BACKWARDS = "DROP TRIGGER accounts_organization_paths_epoch ON accounts_organization;"


class Migration(migrations.Migration):
    dependencies = [("agents", "0004_escalation"), ("accounts", "0002_authz_paths")]
    operations = [
        migrations.RemoveConstraint("agent", "agent_spiffe_unique"),
        migrations.AddConstraint(
            "agent",
            models.UniqueConstraint(
                fields=["organization", "spiffe_id"],
                condition=models.Q(deleted_at=None),
                name="agent_spiffe_unique",
            ),
        ),
        migrations.AlterField(
            "agent",
            "spiffe_id",
            models.CharField(
                "SPIFFE ID",
                blank=True,
                max_length=2048,
                null=True,
                validators=[agents.spiffe.names.check_spiffe_id],
            ),
        ),
        migrations.AlterField(
            "permission",
            "callee",
            models.CharField(
                blank=True,
                help_text="SPIFFE ID of the callee; empty: any.",
                max_length=2048,
                validators=[agents.spiffe.names.check_spiffe_id],
            ),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
