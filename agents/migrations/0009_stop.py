"""The kill switch gets a table of its own. What was paused stays so, and the epoch moves with it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

import audit.ids

# The trigger no longer watches accounts_organization.paused_at, which goes.
WATCH = """
DROP TRIGGER accounts_organization_epoch ON accounts_organization;
CREATE CONSTRAINT TRIGGER accounts_organization_epoch
    AFTER DELETE OR UPDATE OF environments, cooldown_seconds, claim_seconds ON accounts_organization
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();
CREATE CONSTRAINT TRIGGER agents_stop_epoch
    AFTER INSERT OR DELETE OR UPDATE OF agent_id, pattern, released_at ON agents_stop
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();
"""
UNWATCH = """
DROP TRIGGER agents_stop_epoch ON agents_stop;
DROP TRIGGER accounts_organization_epoch ON accounts_organization;
CREATE CONSTRAINT TRIGGER accounts_organization_epoch
    AFTER DELETE OR UPDATE OF environments, cooldown_seconds, claim_seconds, paused_at ON accounts_organization
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();
"""
MOVE = """
INSERT INTO agents_stop (id, organization_id, pattern, reason, stopped_at, stopped_by_label,
    asked_by_label, release_reason, released_by_label)
SELECT gen_random_uuid(), id, '', paused_reason, paused_at, paused_by, '', '', ''
FROM accounts_organization WHERE paused_at IS NOT NULL;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_delegation"),
        ("agents", "0008_applied_policy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            "Stop",
            [
                ("id", models.UUIDField(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                (
                    "pattern",
                    models.CharField(
                        blank=True, help_text="An action or a wildcard; empty: every action.", max_length=200
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("stopped_at", models.DateTimeField()),
                ("stopped_by_label", models.CharField(max_length=254)),
                ("asked_at", models.DateTimeField(help_text="When its release was asked for.", null=True)),
                ("asked_by_label", models.CharField(blank=True, max_length=254)),
                ("release_reason", models.CharField(blank=True, max_length=500)),
                ("released_at", models.DateTimeField(null=True)),
                ("released_by_label", models.CharField(blank=True, max_length=254)),
                (
                    "agent",
                    models.ForeignKey(
                        help_text="Empty: every agent.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stops",
                        to="agents.agent",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stops",
                        to="accounts.organization",
                    ),
                ),
                *(
                    (
                        name,
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    )
                    for name in ("stopped_by", "asked_by", "released_by")
                ),
            ],
            options={
                "ordering": ["-stopped_at", "-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(released_at=None),
                        fields=("organization", "agent", "pattern"),
                        name="stop_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=Q(asked_at=None, asked_by_label="", release_reason="")
                        | (Q(asked_at__isnull=False) & ~Q(asked_by_label="") & ~Q(release_reason="")),
                        name="stop_asked",
                    ),
                    models.CheckConstraint(
                        condition=Q(released_at=None, released_by_label="")
                        | (Q(released_at__isnull=False, asked_at__isnull=False) & ~Q(released_by_label="")),
                        name="stop_released_once_asked",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WATCH, UNWATCH),
        migrations.RunSQL(MOVE, migrations.RunSQL.noop),
    ]
