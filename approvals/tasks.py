"""What Celery runs for approvals. Each may run twice, or at once."""

from celery import shared_task

from approvals import clock, containment, services
from approvals.glass import services as glass
from approvals.stops import freezing


@shared_task
def expire() -> None:
    """Holds what a stop covers; ends what is overdue, in batches until there is none; then reminds and escalates."""
    freezing.freeze_all()
    ended = (services.expire_due, services.lapse_due, containment.cancel_left_over, services.give_back_due)
    for due in (*ended, clock.escalate_due, clock.remind_due, glass.remind_due):
        while due():
            pass
