from django.db import migrations, models

# As they are for new organizations (notifications.alerts.rules), at the time of this migration.
DEFAULTS = (
    ("Backlog", "backlog", 10, 15, "warning"),
    ("Denial rate", "denial_rate", 0.3, 15, "warning"),
    ("Error rate", "error_rate", 0.05, 15, "critical"),
    ("Oldest request", "oldest_pending", 30, 15, "warning"),
    ("About to expire", "about_to_expire", 2, 15, "warning"),
    ("Undelivered messages", "delivery_failures", 3, 240, "warning"),
    ("Unknown callers", "unknown_callers", 5, 15, "warning"),
)


def defaults_for_all(apps, schema_editor):
    """Organizations that exist get what new ones begin with; a rule of theirs with such a name stays."""
    rules = apps.get_model("notifications", "AlertRule")
    for organization in apps.get_model("accounts", "Organization").objects.all():
        rules.objects.bulk_create(
            [
                rules(
                    organization=organization,
                    name=name,
                    measure=measure,
                    threshold=threshold,
                    window_minutes=window,
                    severity=severity,
                )
                for name, measure, threshold, window, severity in DEFAULTS
            ],
            ignore_conflicts=True,
        )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_delivery_log")]

    operations = [
        migrations.AddField(
            "alert",
            "told_at",
            models.DateTimeField(
                null=True, blank=True, help_text="When its firing was announced; empty while its rule is muted."
            ),
        ),
        migrations.AddIndex("alert", models.Index(fields=["rule", "-id"], name="alert_page")),
        migrations.RunPython(defaults_for_all, migrations.RunPython.noop, elidable=True),
    ]
