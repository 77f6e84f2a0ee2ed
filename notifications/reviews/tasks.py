"""What Celery runs for permission reviews. It may run twice, or at once."""

from celery import shared_task

from notifications.reviews import clock


@shared_task
def remind() -> None:
    """Reminds of what is due: every hour."""
    while clock.remind_due():
        pass
