"""Deadlines: the database's clock, swept, once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from approvals import services
from approvals.models import Approval
from approvals.tasks import expire
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme, make_acme


@pytest.mark.django_db
def test_what_is_overdue_is_ended_and_what_is_not_is_left(acme: Acme) -> None:
    late = [factories.an_approval(agent=acme.bot, minutes=-minutes) for minutes in (0.001, 1, 60)]
    due = factories.an_approval(agent=acme.bot, minutes=0.2)
    assert services.expire_due() == 3
    assert services.expire_due() == 0
    assert set(Approval.objects.filter(state="expired")) == set(late)
    due.refresh_from_db()
    assert due.state == "pending"
    assert Event.objects.filter(kind="system:approval:expired").count() == 3
    assert Announcement.objects.filter(event="approval.expired").count() == 3


@pytest.mark.django_db
def test_it_works_in_batches_and_ends_them_all(acme: Acme) -> None:
    for _ in range(5):
        factories.an_approval(agent=acme.bot, minutes=-1)
    assert services.expire_due(limit=2) == 2
    expire()
    assert Approval.objects.filter(state="expired").count() == 5


@pytest.mark.django_db
def test_an_approval_that_nobody_took_lapses(acme: Acme) -> None:
    now = database_now()
    given: dict[str, Any] = {"state": "approved", "decided_at": now, "decided_by": acme.approver}
    late = factories.an_approval(agent=acme.bot, claim_until=now, **given)
    in_time = factories.an_approval(agent=acme.bot, claim_until=now.replace(year=now.year + 1), **given)
    taken = factories.an_approval(agent=acme.bot, claim_until=now, claimed_at=now, **given)
    assert services.lapse_due() == 1
    assert services.lapse_due() == 0
    for approval in (late, in_time, taken):
        approval.refresh_from_db()
    assert late.lapsed_at is not None
    assert in_time.lapsed_at is None
    assert taken.lapsed_at is None
    assert late.state == "approved"  # a final state never changes
    assert Event.objects.get(kind="system:approval:lapsed").target == late.approval_id


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_end_each_request_once() -> None:
    acme = make_acme()
    for _ in range(60):
        factories.an_approval(agent=acme.bot, minutes=-1)

    def sweep(_: int) -> int:
        try:
            ended = 0
            while batch := services.expire_due(limit=7):
                ended += batch
            return ended
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(sweep, range(4))) == 60
    assert Event.objects.filter(kind="system:approval:expired").count() == 60
    assert Announcement.objects.count() == 60
