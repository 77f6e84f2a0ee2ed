"""The Celery application: `celery -A warden worker`, `celery -A warden beat`."""

import os

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init

from warden.checks import refuse_to_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warden.settings")
app = Celery("warden")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["approvals", "notifications", "notifications.alerts", "notifications.reviews", "gateway"])


@setup_logging.connect
def _logging(**_: object) -> None:
    """Ours is configured already: Celery leaves it alone."""


@worker_init.connect
@beat_init.connect
def _refuse(**_: object) -> None:
    """A worker with a mistake in its settings does not start."""
    refuse_to_start()
