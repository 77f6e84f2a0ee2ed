"""System checks: a server or worker with a mistake in its settings does not start, and says how to mend it."""

import sys
from base64 import b64decode
from collections.abc import Sequence
from importlib.util import find_spec
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


@register(Tags.security)
def identities(**_: Any) -> list[CheckMessage]:
    """warden.E009-E011: how agents prove who they are."""
    found: list[CheckMessage] = []
    if settings.PRODUCTION and settings.SPIFFE_PROVIDER == "mock":
        hint = "Use SPIRE: SPIFFE_PROVIDER=spire, or bundles from files and URLs."
        found.append(Error("SPIFFE_PROVIDER is mock in production.", hint=hint, id="warden.E009"))
    if settings.SPIFFE_PROVIDER == "spire" and find_spec("spiffe") is None:
        hint = "Run: uv sync --extra spire; or give bundles as files or URLs."
        found.append(Error("The package spiffe is not installed.", hint=hint, id="warden.E010"))
    if settings.SPIFFE_LISTEN:
        missing = [
            name
            for name in ("SPIFFE_TRUST_DOMAINS", "SPIFFE_TLS_CERT", "SPIFFE_TLS_KEY")
            if not getattr(settings, name)
        ]
        if missing:
            hint = "The listener shows a certificate, and trusts somebody's."
            found.append(Error(f"SPIFFE_LISTEN needs {', '.join(missing)}.", hint=hint, id="warden.E011"))
        if sys.version_info < (3, 13):
            hint = "Run Warden on Python 3.13: the ssl module of older ones does not show the client's chain."
            found.append(Error("SPIFFE_LISTEN needs Python 3.13.", hint=hint, id="warden.E011"))
    return found


def _signs(secret: str) -> bool:
    """Whether it is a secret as the Standard Webhooks scheme has it."""
    try:
        return secret.startswith("whsec_") and len(b64decode(secret.removeprefix("whsec_"), validate=True)) >= 24
    except ValueError:
        return False


@register(Tags.security)
def publishing(**_: Any) -> list[CheckMessage]:
    """warden.E013: a checkpoint would go somewhere where nobody could tell that it is ours, or theirs."""
    found: list[CheckMessage] = []
    if settings.CHECKPOINT_WEBHOOK_URL and not _signs(settings.CHECKPOINT_WEBHOOK_SECRET):
        hint = "Make one with: echo whsec_$(openssl rand -base64 32)"
        said = "CHECKPOINT_WEBHOOK_URL needs a CHECKPOINT_WEBHOOK_SECRET that begins with whsec_."
        found.append(Error(said, hint=hint, id="warden.E013"))
    if settings.TIMESTAMP_URL and not settings.TIMESTAMP_CA:
        hint = "Set it to a file with the certificate, as PEM, that vouches for the authority."
        found.append(Error("TIMESTAMP_URL needs TIMESTAMP_CA.", hint=hint, id="warden.E013"))
    return found


@register(Tags.database)
def trust_domains(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """warden.E012: a trust domain that would speak for several organizations speaks for none (I10)."""
    unnamed = sorted(domain for domain, organization in settings.SPIFFE_TRUST_DOMAINS.items() if not organization)
    if not unnamed or not databases or env.problems:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('accounts_organization')")  # none before the first migration
        if cursor.fetchone() == (None,):
            return []
        cursor.execute("SELECT count(*) FROM accounts_organization")
        [number] = cursor.fetchone() or [0]
    if number < 2:
        return []
    hint = f"Name the organization: SPIFFE_TRUST_DOMAINS={unnamed[0]}=SLUG."
    said = f"There are {number} organizations, and {', '.join(unnamed)} says for which it speaks: none."
    return [Error(said, hint=hint, id="warden.E012")]


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
