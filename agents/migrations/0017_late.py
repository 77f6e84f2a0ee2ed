"""The epoch moves with what an organization wants while the record is late."""

from django.db import migrations

WATCH = """
DROP TRIGGER accounts_organization_epoch ON accounts_organization;
CREATE CONSTRAINT TRIGGER accounts_organization_epoch
    AFTER DELETE OR UPDATE OF {} ON accounts_organization
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();
"""
BEFORE = "environments, cooldown_seconds, claim_seconds"


class Migration(migrations.Migration):
    dependencies = [("agents", "0016_privacy"), ("accounts", "0007_deny_when_late")]
    operations = [migrations.RunSQL(WATCH.format(f"{BEFORE}, deny_when_late"), WATCH.format(BEFORE))]
