"""How many of an agent's requests wait, of as many as may: on its page, beside its budgets."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests import factories
from tests.approvals.conftest import Acme

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]


def page(client: Client) -> str:
    return " ".join(client.get("/agents/support-bot/").content.decode().split())


@pytest.fixture
def crowd(acme: Acme) -> Acme:
    """Two wait in live, one in test mode; one is overdue, and one was decided."""
    type(acme.bot).objects.filter(id=acme.bot.id).update(max_pending=4)
    ended: dict[str, Any] = {"state": "denied", "decided_at": acme.bot.created_at, "decided_by": acme.approver}
    for more in ({}, {}, {"mode": "test"}, {"minutes": -1}, ended):
        factories.an_approval(agent=acme.bot, **more)
    factories.an_approval(agent=factories.an_agent(acme.organization, "another-bot"))
    return acme


def test_an_agents_page_says_how_many_wait_of_as_many_as_may(crowd: Acme, enter: Enter) -> None:
    live = page(enter(crowd.viewer))
    assert "Waiting for people" in live
    assert "2 of 4" in live
    assert 'aria-label="50 % taken"' in live
    assert "One more than that is denied" in live
    assert "1 of 4" in page(enter(crowd.viewer, mode="test"))


def test_it_says_so_where_there_is_no_place(crowd: Acme, enter: Enter) -> None:
    for _ in range(2):
        factories.an_approval(agent=crowd.bot)
    full = page(enter(crowd.admin))
    assert "4 of 4" in full
    assert "No place" in full
    assert "One more is denied until some are decided" in full


def test_it_leads_to_what_waits(crowd: Acme, enter: Enter) -> None:
    client = enter(crowd.approver)
    assert 'href="/inbox/?view=waiting&amp;agent=support-bot"' in page(client)
    listed = client.get("/inbox/", {"view": "waiting", "agent": "support-bot"}).content.decode()
    assert listed.count("wants to") == 2
