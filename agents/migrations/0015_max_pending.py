"""How many requests of an agent may wait at once; the epoch moves with it."""

import django.core.validators
from django.db import migrations, models


FORWARDS = (
    "CREATE CONSTRAINT TRIGGER agents_agent_pending_epoch AFTER UPDATE OF max_pending ON agents_agent"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();"
)
BACKWARDS = "DROP TRIGGER agents_agent_pending_epoch ON agents_agent;"


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0014_aap'),
    ]

    operations = [
        migrations.AddField(
            model_name='agent',
            name='max_pending',
            field=models.PositiveIntegerField(db_default=100, default=100, help_text='So many of its requests may wait for people, in live and in test mode each.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)], verbose_name='requests that wait at once'),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
