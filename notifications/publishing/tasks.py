"""What Celery runs to publish checkpoints. It may run twice, or at once."""

from celery import shared_task

from notifications.publishing.publish import publish_due


@shared_task
def publish() -> None:
    """Publishes what is due."""
    publish_due()
