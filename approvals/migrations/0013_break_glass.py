"""Requests that somebody allowed outside their rule, and their sign-off."""

import audit.ids
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_breaks_glass'),
        ('approvals', '0012_places'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BreakGlass',
            fields=[
                ('id', models.UUIDField(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('mode', models.CharField(max_length=4)),
                ('user_label', models.CharField(max_length=254)),
                ('digest', models.CharField(help_text='What they were shown, and allowed.', max_length=64)),
                ('reason', models.TextField()),
                ('assurance', models.CharField(choices=[('slack', 'Slack, the API or the browser'), ('browser', 'The browser'), ('stepup', 'The browser, with a fresh second factor')], max_length=8)),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField(help_text='By when an owner signs it off.')),
                ('remind_at', models.DateTimeField(help_text='When owners are told that nobody has, next.')),
                ('signed_at', models.DateTimeField(null=True)),
                ('signed_by_label', models.CharField(blank=True, max_length=254)),
                ('verdict', models.CharField(blank=True, max_length=11)),
                ('note', models.TextField(blank=True)),
                ('approval', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='broken_glass', to='approvals.approval')),
                ('instead_of', models.ForeignKey(help_text='What had ended, and is allowed after all.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='approvals.approval')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='broken_glass', to='accounts.organization')),
                ('signed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', 'mode', '-id'], name='glass_page'), models.Index(condition=models.Q(('signed_at', None)), fields=['remind_at'], name='glass_overdue')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('note', ''), ('signed_at', None), ('signed_by', None), ('signed_by_label', ''), ('verdict', '')), models.Q(('signed_at__isnull', False), ('verdict__in', ['justified', 'unjustified']), models.Q(('signed_by_label', ''), _negated=True), models.Q(('note', ''), _negated=True)), _connector='OR'), name='glass_signed'), models.CheckConstraint(condition=models.Q(models.Q(('reason', ''), _negated=True), ('assurance', 'stepup')), name='glass_reason_and_factor')],
            },
        ),
    ]
