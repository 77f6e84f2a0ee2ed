"""Forgets what need not be remembered."""

from celery import shared_task
from django.db import connection

from agents import spending

KEPT = "7 days"
# Calls, after they were decided: seven days, and one more after the end of the window in which that is delivered.
CALLS_KEPT = "8 days"
CALLS = """
DELETE FROM approvals_toolcall c WHERE c.created_at < now() - %(kept)s::interval AND coalesce(c.decided_at, (
    SELECT coalesce(a.decided_at, 'infinity') FROM approvals_approval a WHERE a.id = c.id AND a.by_aap
), c.created_at) < now() - %(kept)s::interval
"""
ISSUED = """
UPDATE agents_instance i SET issued = '' FROM agents_apikey k
WHERE k.id = i.key_id AND i.issued <> '' AND k.created_at < now() - %s::interval
"""


@shared_task  # type: ignore[untyped-decorator]
def forget() -> None:
    """Idempotency keys, AAP's calls and sealed credentials older than a week, minutes and budgets' windows long gone.
    May run twice."""
    spending.forget()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gateway_idempotency WHERE created_at < now() - %s::interval", [KEPT])
        cursor.execute(CALLS, {"kept": CALLS_KEPT})
        cursor.execute(ISSUED, [KEPT])
        cursor.execute(
            "DELETE FROM gateway_ratewindow WHERE minute < floor(extract(epoch FROM clock_timestamp()) / 60) - 5"
        )
