import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Coalesce


class Migration(migrations.Migration):
    dependencies = [("approvals", "0005_conversation"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.AddField(
            "review",
            "on_behalf_of",
            models.ForeignKey(
                settings.AUTH_USER_MODEL,
                django.db.models.deletion.PROTECT,
                null=True,
                related_name="+",
                help_text="In whose name, where not in their own.",
            ),
        ),
        migrations.AddConstraint(
            "review", models.UniqueConstraint("approval", Coalesce("on_behalf_of", "user"), name="review_voice_once")
        ),
    ]
