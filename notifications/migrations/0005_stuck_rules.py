from django.db import migrations


def default_for_all(apps, schema_editor):
    """Organizations that exist get what new ones begin with; a rule of theirs with such a name stays."""
    rules = apps.get_model("notifications", "AlertRule")
    organizations = apps.get_model("accounts", "Organization").objects.all()
    rules.objects.bulk_create(
        [
            rules(
                organization=organization,
                name="Rules nobody can satisfy",
                measure="stuck_rules",
                threshold=0,
                window_minutes=15,
                severity="warning",
            )
            for organization in organizations
        ],
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_alerts")]
    operations = [migrations.RunPython(default_for_all, migrations.RunPython.noop, elidable=True)]
