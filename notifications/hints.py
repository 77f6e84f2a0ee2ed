"""Tells the worker that something is due. A hint: the row is the truth, and the sweep finds it without this.

Publishing happens on a thread of its own, so that a broker that is down, or hangs, never delays or fails anybody.
"""

import threading
import time

import structlog
from celery import Celery, current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
SWEEP = "notifications.tasks.sweep"
PAUSE = 0.2  # seconds between two hints of one process: all that comes meanwhile is one
ENOUGH = 10  # tasks that wait already: the worker is behind, or not there, and needs no further hint


class _Publisher:
    """One thread a process, started when first needed. Hints that come while it publishes become one."""

    def __init__(self, app: Celery = current_app) -> None:
        self._app = app
        self._due = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._down = False

    def hint(self) -> None:
        self._due.set()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # a fork keeps the object and loses the thread
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            self.publish()
            time.sleep(PAUSE)

    def publish(self) -> None:
        try:
            with self._app.amqp.producer_pool.acquire(block=True) as producer:
                queue = self._app.conf.task_default_queue
                if producer.channel.queue_declare(queue).message_count < ENOUGH:
                    self._app.send_task(SWEEP, expires=5, retry=False, ignore_result=True, producer=producer)
        except (OperationalError, RedisError, OSError) as error:
            if not self._down:  # once an outage
                log.warning("the broker is unreachable; the sweep delivers instead", error=str(error))
            self._down = True
        else:
            if self._down:
                log.info("the broker is reachable again")
            self._down = False


_publisher = _Publisher()


def poke() -> None:
    """Asks for a sweep once this transaction has committed, or at once outside of one. Never blocks, never raises."""
    transaction.on_commit(now)


def now() -> None:
    """Asks for a sweep of what is committed. Never blocks, never raises."""
    _publisher.hint()
