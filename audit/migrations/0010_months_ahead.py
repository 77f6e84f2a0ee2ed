"""Months of the record are made three ahead, here as by the sequencer (audit.partitions)."""

from django.db import migrations

AHEAD = """
SELECT audit_add_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date)
FROM generate_series(0, 3) AS n
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_retention")]
    operations = [migrations.RunSQL(AHEAD, migrations.RunSQL.noop)]
