"""What the database's role of those who serve may do: all but change the record. Granted after each migration.

To the record it adds events, and not when they were written: `written` is the database's word (see audit.models), and
with another's the sequencer would pass an event by. What the record says of itself, who serves does not write.
"""

from typing import Any

from django.conf import settings
from django.db import connection
from psycopg import sql

from audit.leaf import COLUMNS

EVENT = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
GRANTS = """
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}
"""


def grant(**_: Any) -> None:
    """Grants it to DATABASE_WEB_ROLE, where there is one and it owns nothing here anyway."""
    role = settings.DATABASE_WEB_ROLE
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolname <> current_user", [role])
        if not cursor.fetchone():
            return
        name = sql.Identifier(role)
        cursor.execute(sql.SQL(GRANTS).format(role=name))
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema AND starts_with(tablename, 'audit_')"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(table), name))
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema::regnamespace"
            " AND starts_with(relname, 'audit_') AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(table), name))
        cursor.execute(sql.SQL("GRANT INSERT ({}) ON audit_event TO {}").format(EVENT, name))
