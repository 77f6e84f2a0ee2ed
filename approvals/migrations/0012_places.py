"""An index for how many requests of an agent wait."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_policy_by_two'),
        ('agents', '0015_max_pending'),
        ('approvals', '0011_aap'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['agent', 'mode', 'expires_at'], name='approval_places'),
        ),
    ]
