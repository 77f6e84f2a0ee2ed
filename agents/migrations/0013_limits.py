"""Budgets: limits of tiers and agents, and what was used of them."""

import django.core.validators
from django.db import migrations, models

FORWARDS = (
    "CREATE CONSTRAINT TRIGGER agents_agent_limits_epoch AFTER UPDATE OF limits, limit_currency ON agents_agent"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();"
)
BACKWARDS = "DROP TRIGGER agents_agent_limits_epoch ON agents_agent;"


class Migration(migrations.Migration):
    dependencies = [("agents", "0012_banned_identity")]
    operations = [
        migrations.AddField(
            "agent",
            "limits",
            models.JSONField(default=dict, blank=True, help_text="Budgets over all its tiers; empty: none."),
        ),
        migrations.AddField(
            "agent",
            "limit_currency",
            models.CharField(
                max_length=3,
                blank=True,
                default="",
                validators=[
                    django.core.validators.RegexValidator("^[A-Z]{3}$", "Use a code of ISO 4217, such as USD.")
                ],
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "permission",
            "limits",
            models.JSONField(default=dict, blank=True, help_text="Budgets, such as count_per_hour; empty: none."),
        ),
        migrations.CreateModel(
            "Spending",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("owner", models.UUIDField()),
                ("mode", models.CharField(max_length=4)),
                ("span", models.CharField(max_length=5)),
                ("starts", models.DateTimeField()),
                ("unit", models.CharField(blank=True, max_length=3)),
                ("value", models.DecimalField(decimal_places=10, max_digits=30)),
            ],
            options={
                "indexes": [models.Index(fields=["starts"], name="spending_old")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("owner", "mode", "span", "starts", "unit"), name="spending_once"
                    ),
                    models.CheckConstraint(condition=models.Q(value__gte=0), name="spending_not_negative"),
                ],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
