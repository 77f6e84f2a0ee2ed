"""A pause is a stop of everything now: agents.Stop."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_delegation"), ("agents", "0009_stop")]
    operations = [
        migrations.RemoveField("organization", "paused_at"),
        migrations.RemoveField("organization", "paused_by"),
        migrations.RemoveField("organization", "paused_reason"),
    ]
