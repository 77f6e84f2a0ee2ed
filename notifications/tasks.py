"""What Celery runs for messages. Each may run twice, or at once."""

import uuid

from celery import shared_task

from notifications import delivery, digests


@shared_task
def sweep() -> None:
    """Works out who must hear what happened, and has what is due sent: every few seconds, and when hinted."""
    while delivery.fan_out():
        pass
    while digests.digest_due():
        pass
    for delivery_id in delivery.due():
        deliver.apply_async((str(delivery_id),), expires=30, retry=False)


@shared_task
def deliver(delivery_id: str) -> None:
    """Sends one message."""
    delivery.deliver(uuid.UUID(delivery_id))
