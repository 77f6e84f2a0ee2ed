"""A log may begin later than at its first event; what is before it may be deleted once six months have passed."""

from django.db import migrations, models

REFUSE = """
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND (starts_with(TG_TABLE_NAME, 'audit_event') OR TG_TABLE_NAME = 'audit_receipt') THEN
        -- audit.retention says so; whoever may delete here at all owns the table.
        IF current_setting('warden.retention', true) = 'on' AND OLD.at < clock_timestamp() - interval '6 months' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the record is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""
BEFORE = """
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_waiting_since")]
    operations = [
        migrations.AddField(
            "log",
            "first",
            models.BigIntegerField(
                db_default=0, default=0, help_text="Events before this index were deleted when their time was over."
            ),
        ),
        migrations.RunSQL(REFUSE, BEFORE),
    ]
