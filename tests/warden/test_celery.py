"""Celery's part: a broker that was away for long is found again at once."""

import time
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from warden.celery import app


def test_a_broker_that_is_away_is_looked_for_every_two_seconds_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.conf.broker_connection_max_retries is None
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("kombu.utils.functional.sleep", sleep)
    heard: list[Any] = []

    def error(exception: Exception, interval: float) -> None:
        heard.append(interval)
        if len(heard) == 30:
            raise KeyboardInterrupt

    with app.connection_for_read("redis://127.0.0.1:1/0") as connection, pytest.raises(KeyboardInterrupt):
        connection.ensure_connection(error, app.conf.broker_connection_max_retries)
    assert set(heard) == {2}
    assert sum(pauses) == pytest.approx(2 * (len(heard) - 1))


def test_a_task_is_acknowledged_when_it_is_done_and_a_lost_worker_gives_it_back() -> None:
    asked = app.conf
    assert (asked.task_acks_late, asked.task_reject_on_worker_lost, asked.worker_prefetch_multiplier) == (True, True, 1)
    assert (asked.task_ignore_result, asked.task_publish_retry) == (True, False)
    assert 0 < asked.task_soft_time_limit < asked.task_time_limit < 300
    with app.connection_for_read() as connection:  # what the transport is given, wherever it was set
        options = connection.transport_options
    assert options["visibility_timeout"] == asked.result_backend_transport_options["visibility_timeout"] == 300
    assert {"socket_timeout", "socket_connect_timeout", "health_check_interval"} <= options.keys()


def test_what_beat_sends_are_tasks_that_there_are() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= app.tasks.keys()
    due = {"approvals.tasks.expire": 5, "notifications.tasks.sweep": 5, "notifications.alerts.tasks.evaluate": 15}
    assert due.items() <= {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}.items()


def test_publishing_to_a_broker_that_is_away_fails_at_once() -> None:
    began = time.monotonic()
    with app.connection_for_write("redis://127.0.0.1:1/0") as connection, pytest.raises(OperationalError):
        app.send_task("notifications.tasks.sweep", connection=connection, retry=False)
    assert time.monotonic() - began < 1
