"""What Celery runs for approvals. Each may run twice, or at once."""

from celery import shared_task

from approvals import services


@shared_task
def expire() -> None:
    """Ends what is overdue, in batches until there is none."""
    while services.expire_due() or services.lapse_due():
        pass
