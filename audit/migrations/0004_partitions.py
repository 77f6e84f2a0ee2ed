"""The record in monthly partitions, by `at`; and each event knows the transaction that wrote it.

`written` is how the sequencer skips nothing: what is below pg_snapshot_xmin has ended, so it is here or never will be.
An id would not do: a slow transaction commits lower ones after higher ones.
"""

from django.db import migrations

PARTED = """
ALTER TABLE audit_event RENAME TO audit_event_whole;
CREATE TABLE audit_event (LIKE audit_event_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (at);
ALTER TABLE audit_event ADD COLUMN written xid8 NOT NULL DEFAULT pg_current_xact_id();

-- Where no month has its partition, an event is written here rather than refused.
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;

CREATE FUNCTION audit_add_partition(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'audit_event_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Made apart and attached: that lets writers go on.
    EXECUTE format('CREATE TABLE %I (LIKE audit_event INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE audit_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
        date_trunc('month', month::timestamp) AT TIME ZONE 'UTC',
        (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
    EXECUTE format('CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON %I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', name);
    RETURN true;
END $$;

SELECT audit_add_partition(month::date)
FROM (SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC') AS month FROM audit_event_whole) AS months;
INSERT INTO audit_event SELECT * FROM audit_event_whole ORDER BY at, id;
DROP TABLE audit_event_whole;
ALTER TABLE audit_event ADD CONSTRAINT audit_event_pkey PRIMARY KEY (id, at);
"""
GUARDED = """
CREATE INDEX event_written ON audit_event (written, id);
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON audit_event_default
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
SELECT audit_add_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date)
FROM generate_series(0, 1) AS n;
"""


def add_indexes(apps, schema_editor):
    event = apps.get_model("audit", "Event")
    for index in event._meta.indexes:
        schema_editor.add_index(event, index)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_search")]
    operations = [
        migrations.RunSQL(PARTED, elidable=False),
        migrations.RunPython(add_indexes),
        migrations.RunSQL(GUARDED),
    ]
