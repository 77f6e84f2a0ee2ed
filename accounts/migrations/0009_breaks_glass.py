"""Who may allow a request outside its approval rule."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_retention'),
    ]

    operations = [
        migrations.AddField(
            model_name='membership',
            name='breaks_glass',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether they may allow a request outside its approval rule.'),
        ),
    ]
