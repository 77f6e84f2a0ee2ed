"""DATABASE_URL, any form libpq understands, as Django wants it."""

from typing import Any

from psycopg import ProgrammingError, conninfo

from warden import env

HINT = "Such as postgresql://warden@db.example.com/warden; ./script/run sets it."


def database() -> dict[str, Any]:
    """Django's settings for the one database. A malformed URL is a problem for the checks, never an exception."""
    url = env.url("DATABASE_URL", None, schemes=("postgresql", "postgres"), hint=HINT)
    try:
        parts = conninfo.conninfo_to_dict(url)
    except ProgrammingError as error:
        env.problems.append(env.Problem("DATABASE_URL", f"DATABASE_URL is malformed: {error}", HINT))
        parts = {}
    named = {key: str(parts.pop(key, "")) for key in ("dbname", "user", "password", "host", "port")}
    options: dict[str, Any] = dict(parts)
    options.setdefault("application_name", "warden")
    options.setdefault("connect_timeout", 5)
    options["pool"] = {"min_size": 0, "max_size": env.integer("DATABASE_POOL", 16, low=1, high=200), "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": named["dbname"] or "warden",
        "USER": named["user"],
        "PASSWORD": named["password"],
        "HOST": named["host"],
        "PORT": named["port"],
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
