import agents.spiffe.names
import audit.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

FORWARDS = (
    "CREATE CONSTRAINT TRIGGER agents_bannedidentity_epoch AFTER INSERT OR DELETE OR UPDATE ON agents_bannedidentity"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();"
)
BACKWARDS = "DROP TRIGGER agents_bannedidentity_epoch ON agents_bannedidentity;"


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0011_proposals"),
        ("accounts", "0002_authz_paths"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            "BannedIdentity",
            [
                ("id", models.UUIDField(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="banned_identities",
                        to="accounts.organization",
                    ),
                ),
                (
                    "spiffe_id",
                    models.CharField(
                        max_length=2048, validators=[agents.spiffe.names.check_spiffe_id], verbose_name="SPIFFE ID"
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name_plural": "banned identities", "ordering": ["spiffe_id"]},
        ),
        migrations.AddConstraint(
            "bannedidentity",
            models.UniqueConstraint(fields=["organization", "spiffe_id"], name="banned_identity_once"),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
