from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from agents.assurance import LEVELS

SURE = "How sure it is that they said it."


class Migration(migrations.Migration):
    dependencies = [("approvals", "0003_time")]

    operations = [
        migrations.AddField(
            "approval",
            "editors",
            ArrayField(
                models.UUIDField(),
                default=list,
                db_default=models.Value([], ArrayField(models.UUIDField())),
                help_text="People who changed what is decided: they may not decide it.",
            ),
        ),
        migrations.AddField(
            "review",
            "assurance",
            models.CharField(max_length=8, choices=list(LEVELS.items()), default="slack", help_text=SURE),
        ),
        # Votes of the browser were given in the browser; nobody knows more of them.
        migrations.RunSQL(
            "UPDATE approvals_review SET assurance = 'browser' WHERE via = 'browser'", migrations.RunSQL.noop
        ),
    ]
