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


def test_publishing_to_a_broker_that_is_away_fails_at_once() -> None:
    began = time.monotonic()
    with app.connection_for_write("redis://127.0.0.1:1/0") as connection, pytest.raises(OperationalError):
        app.send_task("notifications.tasks.sweep", connection=connection, retry=False)
    assert time.monotonic() - began < 1
