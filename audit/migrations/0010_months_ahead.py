"""Months of the record are made three ahead, here as by the sequencer (audit.partitions).

One that cannot be made (events of it are in the default partition, or somebody reads for long) is left to the
sequencer, which says so: it must not keep Warden from a new version.
"""

from django.db import migrations

AHEAD = """
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    FOR n IN 0..3 LOOP
        BEGIN
            PERFORM audit_add_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date);
        EXCEPTION WHEN check_violation OR lock_not_available THEN
            RAISE WARNING 'no partition % months ahead: %', n, SQLERRM;
        END;
    END LOOP;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_retention")]
    operations = [migrations.RunSQL(AHEAD, migrations.RunSQL.noop)]
