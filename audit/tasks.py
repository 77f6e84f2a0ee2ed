"""The record reads itself again, once a day."""

from celery import shared_task

from audit.verify import verify_all


@shared_task(time_limit=6 * 3600, soft_time_limit=6 * 3600)  # type: ignore[untyped-decorator]
def verify() -> None:
    """Recomputes every log; the page of the log tells what came of it."""
    verify_all()
