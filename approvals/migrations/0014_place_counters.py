"""How many requests of an agent wait, kept by the database with each change of a state: no code path can forget it.

A change is a row of its own, so that who decides and who asks never wait for each other; the next request adds them up.
"""

from django.db import migrations, models

# What waits already is counted once nobody can change it: making a trigger keeps writers out until the commit.
FORWARDS = """
CREATE FUNCTION approvals_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO approvals_placechange (agent_id, mode, change) VALUES (NEW.agent_id, NEW.mode, 1);
    ELSE
        INSERT INTO approvals_placechange (agent_id, mode, change) VALUES (OLD.agent_id, OLD.mode, -1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_approval_takes_place AFTER INSERT ON approvals_approval
    FOR EACH ROW WHEN (NEW.state = 'pending') EXECUTE FUNCTION approvals_place();
CREATE TRIGGER approvals_approval_leaves_place AFTER UPDATE OF state ON approvals_approval
    FOR EACH ROW WHEN (OLD.state = 'pending' AND NEW.state <> 'pending') EXECUTE FUNCTION approvals_place();
CREATE TRIGGER approvals_approval_gone_from_place AFTER DELETE ON approvals_approval
    FOR EACH ROW WHEN (OLD.state = 'pending') EXECUTE FUNCTION approvals_place();
INSERT INTO approvals_placechange (agent_id, mode, change)
    SELECT agent_id, mode, count(*) FROM approvals_approval WHERE state = 'pending' GROUP BY agent_id, mode;
"""
BACKWARDS = """
DROP TRIGGER approvals_approval_gone_from_place ON approvals_approval;
DROP TRIGGER approvals_approval_leaves_place ON approvals_approval;
DROP TRIGGER approvals_approval_takes_place ON approvals_approval;
DROP FUNCTION approvals_place();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0013_break_glass")]
    operations = [
        migrations.CreateModel(
            name="Place",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("agent_id", models.UUIDField()),
                ("mode", models.CharField(max_length=4)),
                ("taken", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="PlaceChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("agent_id", models.UUIDField()),
                ("mode", models.CharField(max_length=4)),
                ("change", models.IntegerField()),
            ],
        ),
        migrations.AddConstraint(
            model_name="place",
            constraint=models.UniqueConstraint(fields=["agent_id", "mode"], name="place_once"),
        ),
        migrations.AddIndex(
            model_name="placechange",
            index=models.Index(fields=["agent_id", "mode"], name="place_change"),
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
