import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [
        migrations.AddField(
            "organization",
            "authz_paths",
            django.contrib.postgres.fields.ArrayField(
                models.CharField(
                    max_length=200,
                    validators=[
                        django.core.validators.RegexValidator(
                            "\\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}){0,7}\\Z",
                            "Use words with slashes between them, such as httpapi/authz: as in an OPA's"
                            " /v1/data/httpapi/authz.",
                        )
                    ],
                ),
                blank=True,
                default=list,
                help_text="Further paths below /v1/data that are answered, besides agentweave/authz.",
                size=20,
            ),
        )
    ]
