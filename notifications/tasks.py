"""What Celery runs for messages. It may run twice, or at once."""

import time

from celery import shared_task

from notifications import delivery, digests, hints

TURN = 3.0  # seconds: what else the worker has to do waits no longer behind a long queue of messages


@shared_task
def sweep() -> None:
    """Works out who must hear what happened, and sends what is due: every few seconds, and when hinted.

    Rows are the queue, not the broker: what is long is gone through in turns, by as many workers as there are.
    """
    until = time.monotonic() + TURN
    while delivery.fan_out(20) + digests.digest_due(20) + delivery.send_due(25):
        if time.monotonic() > until:
            hints.poke()
            return
