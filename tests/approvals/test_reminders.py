"""Reminders: at half and at nine tenths of the time, once each, and never of what is over."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.by import COMMAND_LINE
from approvals import clock
from approvals.models import Approval
from approvals.stops import services
from approvals.tasks import expire
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme, make_acme

HOUR = timedelta(hours=1)


def waiting(acme: Acme, passed: float, **fields: Any) -> Approval:
    """A request of one hour of which that part has passed, as the gateway makes it."""
    made = database_now() - HOUR * passed
    return factories.an_approval(
        agent=acme.bot, now=made, minutes=60, remind_at=clock.reminder(made, made + HOUR, 0), **fields
    )


def reminders() -> list[str]:
    return list(Announcement.objects.filter(event="approval.reminder").order_by("id").values_list("target", flat=True))


@pytest.mark.django_db
def test_a_request_is_reminded_of_at_half_and_at_nine_tenths_of_its_time(acme: Acme) -> None:
    early, half, late = (waiting(acme, passed) for passed in (0.49, 0.51, 0.91))
    assert clock.remind_due() == 2
    assert clock.remind_due() == 0
    assert set(reminders()) == {half.approval_id, late.approval_id}
    for approval in (early, half, late):
        approval.refresh_from_db()
    assert (early.reminders_sent, half.reminders_sent, late.reminders_sent) == (0, 1, 2)
    assert half.remind_at == half.created_at + HOUR * 0.9
    assert late.remind_at is None  # who slept through both times says so once
    said = Event.objects.filter(kind="system:approval:reminded", target=half.approval_id).get()
    assert said.data == {"minutes_left": 29}


@pytest.mark.django_db
def test_the_second_reminder_follows_the_first(acme: Acme) -> None:
    approval = waiting(acme, 0.95)
    Approval.objects.update(reminders_sent=1, remind_at=approval.created_at + HOUR * 0.9)
    assert clock.remind_due() == 1
    approval.refresh_from_db()
    assert (approval.reminders_sent, approval.remind_at) == (2, None)


@pytest.mark.django_db
def test_what_no_longer_waits_is_not_reminded_of(acme: Acme) -> None:
    now = database_now()
    waiting(acme, 0.6, state="cancelled", decided_at=now)
    waiting(acme, 0.6, state="approved", decided_at=now, claim_until=now + HOUR)
    waiting(acme, 1.1)  # overdue, not yet swept
    assert clock.remind_due() == 0
    assert reminders() == []


@pytest.mark.django_db
def test_nobody_is_reminded_while_the_organization_is_stopped_and_everybody_after_it(acme: Acme) -> None:
    waiting(acme, 0.6)
    stop = factories.a_stop(acme.organization)
    expire()
    assert reminders() == []
    services.ask(stop=stop, by=COMMAND_LINE, reason="found it")
    services.release(stop=stop, by=COMMAND_LINE, typed=acme.organization.slug)
    expire()
    assert len(reminders()) == 1


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_remind_of_each_request_once() -> None:
    acme = make_acme()
    for _ in range(60):
        waiting(acme, 0.6)

    def sweep(_: int) -> int:
        try:
            done = 0
            while batch := clock.remind_due(limit=7):
                done += batch
            return done
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(sweep, range(4))) == 60
    assert len(reminders()) == len(set(reminders())) == 60
    assert Event.objects.filter(kind="system:approval:reminded").count() == 60
