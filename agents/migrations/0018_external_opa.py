"""One more gate: an external OPA. The epoch moves with it."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FORWARDS = (
    "CREATE CONSTRAINT TRIGGER agents_externalopa_epoch AFTER INSERT OR DELETE OR UPDATE ON agents_externalopa"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();"
)
BACKWARDS = "DROP TRIGGER agents_externalopa_epoch ON agents_externalopa;"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_policy_by_two'),
        ('agents', '0017_late'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ExternalOpa',
            fields=[
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='external_opa', serialize=False, to='accounts.organization')),
                ('url', models.CharField(help_text='Of the rule, such as https://opa.example.com/v1/data/acme/warden.', max_length=2048, verbose_name='URL')),
                ('timeout_ms', models.PositiveSmallIntegerField(default=500, help_text='For everything. No answer by then is a denial.', validators=[django.core.validators.MinValueValidator(50), django.core.validators.MaxValueValidator(3000)], verbose_name='time it has, in milliseconds')),
                ('token_file', models.CharField(blank=True, help_text='Its token, sent as Authorization: Bearer. Empty: none.', max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9_-][A-Za-z0-9._-]*\\Z', "A file's name, of letters, digits, dots, dashes.")])),
                ('ca_file', models.CharField(blank=True, help_text='Authorities that may have issued its certificate, as PEM. Empty: those of the machine.', max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9_-][A-Za-z0-9._-]*\\Z', "A file's name, of letters, digits, dots, dashes.")])),
                ('certificate_file', models.CharField(blank=True, help_text='Our certificate, as PEM, where it wants one.', max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9_-][A-Za-z0-9._-]*\\Z', "A file's name, of letters, digits, dots, dashes.")])),
                ('key_file', models.CharField(blank=True, help_text="The certificate's key. Empty: it is in the certificate's file.", max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9_-][A-Za-z0-9._-]*\\Z', "A file's name, of letters, digits, dots, dashes.")])),
                ('set_at', models.DateTimeField()),
                ('set_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('timeout_ms__gte', 50), ('timeout_ms__lte', 3000)), name='external_opa_timeout'), models.CheckConstraint(condition=models.Q(('key_file', ''), models.Q(('certificate_file', ''), _negated=True), _connector='OR'), name='external_opa_key_pair')],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
