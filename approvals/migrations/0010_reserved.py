"""What a request reserved of budgets, so that it can be given back."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0009_grants"), ("agents", "0013_limits")]

    operations = [
        migrations.AddField(
            "approval",
            "reserved",
            django.contrib.postgres.fields.ArrayField(
                models.BigIntegerField(),
                default=list,
                db_default=models.Value([], django.contrib.postgres.fields.ArrayField(models.BigIntegerField())),
                help_text="Counters of the budgets it takes of.",
            ),
        ),
        migrations.AddField(
            "approval",
            "reserved_amount",
            models.DecimalField(
                max_digits=30,
                decimal_places=10,
                null=True,
                help_text="What it takes of totals.",
            ),
        ),
        migrations.AddIndex(
            "approval",
            models.Index(fields=["id"], name="approval_reserving", condition=~models.Q(reserved=[])),
        ),
    ]
