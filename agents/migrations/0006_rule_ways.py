from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

import agents.models.rule
from agents.assurance import LEVELS

APPROVALS = [MinValueValidator(1), MaxValueValidator(10)]
CONFIRM = "Who approves what is critical types the action's name."


class Migration(migrations.Migration):
    """Rules that exist keep their meaning: no other way, no proof, nothing typed."""

    dependencies = [("agents", "0005_spiffe")]

    operations = [
        migrations.AddField(
            "approvalrule", "version", models.PositiveIntegerField(default=1, help_text="A new number with each change.")
        ),
        migrations.AlterField(
            "approvalrule",
            "roles",
            ArrayField(models.CharField(max_length=8), default=agents.models.rule.default_roles, blank=True),
        ),
        migrations.AddField("approvalrule", "teams", models.JSONField(default=list, blank=True)),
        migrations.AddField("approvalrule", "people", models.JSONField(default=list, blank=True)),
        migrations.AddField(
            "approvalrule",
            "alternatives",
            models.JSONField(
                default=list, blank=True, help_text="Other ways to satisfy it: each a number of approvals, and by whom."
            ),
        ),
        migrations.AddField(
            "approvalrule",
            "assurance",
            models.CharField(
                max_length=8, choices=list(LEVELS.items()), default="slack", help_text="The least it takes."
            ),
        ),
        migrations.AddField("approvalrule", "confirm_critical", models.BooleanField(default=False, help_text=CONFIRM)),
        migrations.AlterField("approvalrule", "confirm_critical", models.BooleanField(default=True, help_text=CONFIRM)),
        migrations.AddField(
            "approvalrule",
            "edits_allowed",
            models.BooleanField(default=False, help_text="Whether who approves may change what is approved."),
        ),
        migrations.AddField(
            "approvalrule",
            "edit_fields",
            ArrayField(
                models.CharField(max_length=200),
                default=list,
                blank=True,
                help_text="Fields of the context that may change.",
            ),
        ),
        migrations.AddField(
            "approvalrule",
            "grants_allowed",
            models.BooleanField(default=False, help_text="Whether approving may allow more of the same kind."),
        ),
        migrations.AddField(
            "approvalrule",
            "critical_seconds",
            models.PositiveSmallIntegerField(
                default=0,
                validators=[MaxValueValidator(3_600)],
                help_text="Least time on the page of what is critical.",
            ),
        ),
    ]
