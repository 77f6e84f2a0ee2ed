"""Forgets what need not be remembered."""

from celery import shared_task
from django.db import connection

from agents import spending

KEPT = "7 days"


@shared_task  # type: ignore[untyped-decorator]
def forget() -> None:
    """Idempotency keys older than a week, minutes and budgets' windows long gone. May run twice."""
    spending.forget()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gateway_idempotency WHERE created_at < now() - %s::interval", [KEPT])
        cursor.execute(
            "DELETE FROM gateway_ratewindow WHERE minute < floor(extract(epoch FROM clock_timestamp()) / 60) - 5"
        )
