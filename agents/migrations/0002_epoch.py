"""The epoch moves in the transaction of every change that a check must see; no code path can forget it.

The triggers are deferred to the commit, so that the one row is locked last and shortly; once a transaction is enough.
"""

from django.db import migrations

WATCHED = {
    "agents_agent": "INSERT OR DELETE OR UPDATE OF slug, status, spiffe_id, owner_user_id, owner_team_id, deleted_at",
    "agents_permission": "INSERT OR DELETE OR UPDATE",
    "agents_approvalrule": "INSERT OR DELETE OR UPDATE",
    "agents_apikey": (
        "INSERT OR DELETE OR UPDATE OF agent_id, mode, environment, scopes, key_hash, rate_limit, expires_at, revoked_at"
    ),
    "accounts_organization": "DELETE OR UPDATE OF environments, cooldown_seconds, claim_seconds, paused_at",
}
FUNCTION = """
INSERT INTO agents_epoch (id, value) VALUES (1, 1);
CREATE FUNCTION agents_move_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('warden.epoch_moved', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        UPDATE agents_epoch SET value = value + 1;
        PERFORM set_config('warden.epoch_moved', pg_current_xact_id()::text, true);
    END IF;
    RETURN NULL;
END $$;
"""
FORWARDS = FUNCTION + "".join(
    f"CREATE CONSTRAINT TRIGGER {table}_epoch AFTER {events} ON {table}"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION agents_move_epoch();\n"
    for table, events in WATCHED.items()
)
BACKWARDS = (
    "".join(f"DROP TRIGGER {table}_epoch ON {table};\n" for table in WATCHED)
    + "DROP FUNCTION agents_move_epoch();\nDELETE FROM agents_epoch;\n"
)


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial"), ("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
