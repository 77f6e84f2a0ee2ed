"""Deadlines that stand still: since when, and for how long they did before."""

import datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0006_on_behalf_of"), ("agents", "0009_stop")]

    operations = [
        migrations.AddField(
            "approval",
            "frozen_at",
            models.DateTimeField(null=True, help_text="Since when the kill switch holds its deadlines."),
        ),
        migrations.AddField(
            "approval",
            "frozen_for",
            models.DurationField(
                default=datetime.timedelta,
                db_default=datetime.timedelta(),
                help_text="How long it held them before; they moved by as much.",
            ),
        ),
    ]
