from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                fields=["organization", "mode", "-decided_at", "-id"],
                name="approval_decided",
                condition=~models.Q(state="pending"),
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(fields=["organization", "mode", "agent", "-id"], name="approval_agent"),
        ),
    ]
