"""System checks: a server or worker with a mistake in its settings does not start, and says how to mend it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks.registry import registry
from django.db import connection

from warden import env, tracing

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


@register(Tags.security)
def environment(**_: Any) -> list[CheckMessage]:
    """warden.E001: every environment variable that is missing or malformed."""
    return [Error(problem.message, hint=problem.hint, obj=problem.name, id="warden.E001") for problem in env.problems]


@register(Tags.security)
def production(**_: Any) -> list[CheckMessage]:
    """warden.E002-E005, E007: what production refuses."""
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if settings.DEBUG:
        found.append(Error("DEBUG is on in production.", hint="Unset DEBUG.", id="warden.E002"))
    key = settings.SECRET_KEY
    if len(key) < 50 or len(set(key)) < 10 or key.startswith("django-insecure"):
        found.append(
            Error(
                "SECRET_KEY is too weak.",
                hint='Make one with: python3 -c "import secrets; print(secrets.token_urlsafe(64))"',
                id="warden.E003",
            )
        )
    for origin in [settings.SITE_URL, *settings.CSRF_TRUSTED_ORIGINS]:
        if origin and urlsplit(origin).scheme != "https":
            found.append(Error(f"{origin} is not https.", hint="Production is served over TLS only.", id="warden.E004"))
    if "*" in settings.ALLOWED_HOSTS:
        found.append(Error("ALLOWED_HOSTS has *.", hint="Name the hosts.", id="warden.E005"))
    if 0 < len(settings.METRICS_TOKEN) < 32:
        found.append(
            Error(
                "METRICS_TOKEN is too short.",
                hint='Make one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"; or unset it: '
                "nobody reads /metrics then.",
                id="warden.E007",
            )
        )
    return found


@register()
def traces(**_: Any) -> list[CheckMessage]:
    """warden.E008: traces are wanted, and what makes them is not there."""
    if not tracing.is_wanted() or tracing.is_installed():
        return []
    hint = "Run: uv sync --extra otel; or unset OTEL_EXPORTER_OTLP_ENDPOINT."
    return [Error("OpenTelemetry is not installed.", hint=hint, id="warden.E008")]


@register(Tags.database)
def durable(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """warden.E006: production refuses a database that forgets what it committed (I2)."""
    if not settings.PRODUCTION or not databases or env.problems:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(DURABLE)])
        off = sorted(name for name, value in cursor.fetchall() if value == "off")
    return [
        Error(
            f"The database runs with {name} = off: a committed decision could be lost.",
            hint=f"Set {name} = on in postgresql.conf.",
            id="warden.E006",
        )
        for name in off
    ]


def refuse_to_start() -> None:
    """Runs the checks of this module as servers and workers start. Raises SystemExit that names every mistake."""
    errors = [
        message
        for check in registry.get_checks()
        if check.__module__ == __name__
        for message in check(app_configs=None, databases=["default"])
    ]
    if errors:
        lines = [f"{message.id}: {message.msg}\n    {message.hint}" for message in errors]
        raise SystemExit("Warden cannot start:\n  " + "\n  ".join(lines))
