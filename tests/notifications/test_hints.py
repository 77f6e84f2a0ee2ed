"""Hints: a message reaches the worker at once, and a broker that is away costs nobody anything."""

import logging
import socket
import time
import uuid
from typing import Any

import pytest
from celery import Celery, current_app
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.db import transaction

from notifications import hints
from notifications.models import Delivery
from notifications.outbox import announce
from tests import factories
from tests.approvals.conftest import make_acme
from tests.notifications.conftest import Desk


def test_a_broker_that_is_away_is_said_once_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    nowhere.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    publisher = hints._Publisher(nowhere)
    with caplog.at_level(logging.WARNING):
        publisher.publish()
        publisher.publish()
    assert caplog.text.count("the broker is unreachable") == 1
    began = time.monotonic()
    for _ in range(1_000):
        publisher.hint()
    assert time.monotonic() - began < 1


@pytest.mark.django_db
def test_a_hint_waits_for_the_commit(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> None:
    told: list[bool] = []
    monkeypatch.setattr(hints._publisher, "hint", lambda: told.append(True))
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        hints.poke()
        assert told == []
    assert told == [True]


def test_a_broker_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and never answers
        hanging = Celery("hanging", broker=f"redis://127.0.0.1:{silent.getsockname()[1]}/0", set_as_current=False)
        hanging.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | {"socket_timeout": 0.2}
        with caplog.at_level(logging.WARNING):
            hints._Publisher(hanging).publish()
    assert "the broker is unreachable" in caplog.text


def test_hints_do_not_pile_up_where_nobody_takes_them() -> None:
    queue = f"unread-{uuid.uuid4().hex}"
    unread = Celery("unread", broker=settings.CELERY_BROKER_URL, set_as_current=False)
    unread.conf.task_default_queue = queue
    publisher = hints._Publisher(unread)
    for _ in range(hints.ENOUGH + 5):
        publisher.publish()
    with unread.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(queue) == hints.ENOUGH


@pytest.mark.django_db(transaction=True)
def test_a_request_is_in_the_mail_a_moment_after_it_was_made(smtp: Desk) -> None:
    """The whole way: outbox, hint, broker, a worker, the sweep, a delivery, SMTP."""
    acme = make_acme()
    approval = factories.an_approval(agent=acme.bot)
    current_app.control.purge()  # hints of tests before this one, which had no worker: so many would be enough
    with start_worker(current_app, perform_ping_check=False, pool="solo", loglevel="WARNING"):
        with transaction.atomic():
            announce([(approval.organization_id, "live", "approval.requested", approval.approval_id)])
            hints.poke()
        limit = time.monotonic() + 20
        while len(smtp.inbox) < 3 and time.monotonic() < limit:
            time.sleep(0.05)
    assert len(smtp.inbox) == 3
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
