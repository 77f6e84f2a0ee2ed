import django.db.models.deletion
import django.db.models.functions
from django.db import migrations, models

import audit.ids


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_comment_scope")]

    operations = [
        migrations.CreateModel(
            "Delegation",
            [
                (
                    "id",
                    models.UUIDField(primary_key=True, default=audit.ids.new_id, editable=False, serialize=False),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                (
                    "ended_at",
                    models.DateTimeField(null=True, blank=True, help_text="Called off before its end."),
                ),
                ("note", models.CharField(max_length=200, blank=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.Now())),
                (
                    "organization",
                    models.ForeignKey(
                        "accounts.Organization", django.db.models.deletion.CASCADE, related_name="delegations"
                    ),
                ),
                (
                    "delegator",
                    models.ForeignKey(
                        "accounts.Membership", django.db.models.deletion.CASCADE, related_name="delegations"
                    ),
                ),
                ("delegates", models.ManyToManyField("accounts.Membership", related_name="delegated", blank=True)),
            ],
            options={
                "ordering": ["starts_at"],
                "indexes": [models.Index(fields=["organization", "ends_at"], name="delegation_running")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(ends_at__gt=models.F("starts_at")), name="delegation_period"
                    )
                ],
            },
        ),
        migrations.AddField(
            "organization",
            "single_operator_since",
            models.DateTimeField(
                null=True, blank=True, help_text="From then on people may approve what their own agents ask."
            ),
        ),
        migrations.AddField("organization", "single_operator_by", models.CharField(max_length=254, blank=True)),
    ]
