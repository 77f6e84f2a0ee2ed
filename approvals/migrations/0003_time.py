from django.db import migrations, models
from django.db.models import Q


def remind_of_what_waits(apps, schema_editor):
    """Requests that wait already are reminded of as those to come are; their rules have no steps."""
    approvals = apps.get_model("approvals", "Approval").objects.filter(state="pending")
    for approval in approvals.only("created_at", "expires_at").iterator():
        remind_at = approval.created_at + (approval.expires_at - approval.created_at) / 2
        approvals.filter(pk=approval.pk).update(remind_at=remind_at)


class Migration(migrations.Migration):
    dependencies = [("approvals", "0002_approval_decided")]

    operations = [
        migrations.AddField(
            "approval", "remind_at", models.DateTimeField(null=True, help_text="When the next reminder is due.")
        ),
        migrations.AddField("approval", "reminders_sent", models.PositiveSmallIntegerField(default=0, db_default=0)),
        migrations.AddField(
            "approval",
            "escalate_at",
            models.DateTimeField(null=True, help_text="When the next step of the rule's escalation is due."),
        ),
        migrations.AddField(
            "approval",
            "escalated",
            models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Steps that were reached."),
        ),
        migrations.AddField(
            "approval",
            "added",
            models.JSONField(null=True, help_text="Roles, teams and people that those steps add, for queries."),
        ),
        migrations.AddIndex(
            "approval", models.Index(fields=["remind_at"], name="approval_reminding", condition=Q(state="pending"))
        ),
        migrations.AddIndex(
            "approval", models.Index(fields=["escalate_at"], name="approval_escalating", condition=Q(state="pending"))
        ),
        migrations.RunPython(remind_of_what_waits, migrations.RunPython.noop, elidable=True),
    ]
