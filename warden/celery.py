"""The Celery application: `celery -A warden worker`, `celery -A warden beat`."""

import os
from typing import Any

import kombu
from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import beat_init, setup_logging, worker_init

from warden.checks import refuse_to_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warden.settings")


class Connection(kombu.Connection):
    """Looks for a broker that is away every two seconds, without end.

    Celery's own pause grows to half a minute, and what is owed must be told within 30 seconds of the broker's return.
    """

    def _ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        pause = min(kwargs.get("interval_max", 2), 2)  # publishing asks for none
        return super()._ensure_connection(*args, **kwargs | {"interval_max": pause})


class Messages(AMQP):
    """Celery's messages, over our connection."""

    Connection = Connection


app = Celery("warden", amqp=Messages)
app.config_from_object("django.conf:settings", namespace="CELERY")
TASKS = (
    *("audit", "approvals", "gateway", "notifications"),
    *("notifications.alerts", "notifications.publishing", "notifications.reviews"),
)
app.autodiscover_tasks(TASKS)


@setup_logging.connect
def _logging(**_: object) -> None:
    """Ours is configured already: Celery leaves it alone."""


@worker_init.connect
@beat_init.connect
def _refuse(**_: object) -> None:
    """A worker with a mistake in its settings does not start."""
    refuse_to_start()
