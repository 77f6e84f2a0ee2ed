"""What Celery runs for alerts. It may run twice, or at once."""

from celery import shared_task

from notifications.alerts import evaluation


@shared_task
def evaluate() -> None:
    """Looks at every rule: every fifteen seconds."""
    evaluation.evaluate()
