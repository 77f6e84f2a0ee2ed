from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0003_version_agent")]

    operations = [
        migrations.AddField(
            "approvalrule",
            "escalation",
            models.JSONField(
                blank=True, default=list, help_text="Steps, soonest first: who else is asked, after how long."
            ),
        )
    ]
