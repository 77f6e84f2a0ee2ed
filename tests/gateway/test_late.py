"""Where an organization wants it so, high risk is denied while the record is not put in order."""

import time
from datetime import timedelta
from typing import Any

import pytest

from accounts.by import COMMAND_LINE
from accounts.services import organizations
from agents.models import Permission
from audit.clock import database_now
from audit.log import Sequencer
from audit.models import Event
from gateway.lateness import FRESH
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
REASON = "The record is not being put in order: high risk is denied until it is"


@pytest.fixture
def strict(world: World) -> World:
    organizations.change(organization=world.acme, by=COMMAND_LINE, deny_when_late=True)
    Permission.objects.filter(action="email.send").update(risk="high")
    return world


def sequencer(beat: float = 1, waiting: float | None = None, refusal: str = "") -> None:
    """How the sequencer is: its last sign of life, and the first event that waits, in seconds ago."""
    now = database_now()
    since = None if waiting is None else now - timedelta(seconds=waiting)
    values: dict[str, Any] = {"waiting_since": since, "refusal": refusal, "beat_at": now - timedelta(seconds=beat)}
    Sequencer.objects.update_or_create(id=1, defaults=values)
    time.sleep(1.2 * FRESH.total_seconds())


@pytest.mark.parametrize("state", [{"beat": 61}, {"waiting": 61}, {"refusal": "The log is shorter than it was."}])
def test_high_risk_is_denied_while_the_record_is_late(strict: World, state: dict[str, Any]) -> None:
    sequencer()
    assert strict.check("email.send")["allowed"] is True
    sequencer(**state)
    refused = strict.check("email.send")
    assert (refused["allowed"], refused["reason"]) == (False, REASON)
    assert "cacheable" not in refused
    assert Event.objects.filter(action="email.send").latest("at").data["code"] == "record_late"
    assert strict.check("stripe.refund", {"amount": 20})["allowed"] is True, "what is of low risk goes on"
    sequencer(beat=59, waiting=59)
    assert strict.check("email.send")["allowed"] is True


def test_where_nothing_was_ever_put_in_order_it_is_denied(strict: World) -> None:
    Sequencer.objects.all().delete()
    time.sleep(1.2 * FRESH.total_seconds())
    assert strict.check("email.send")["reason"] == REASON


def test_what_was_approved_is_claimed_once_the_record_is_in_order_again(strict: World) -> None:
    sequencer()
    Permission.objects.filter(action="stripe.refund.large").update(risk="high")
    asked = strict.pending()
    strict.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    sequencer(beat=61)
    refused = strict.post(path, None, Idempotency_Key="a")
    assert (refused.status_code, refused.json()["code"]) == (409, "record_late")
    sequencer()
    assert strict.post(path, None, Idempotency_Key="a").status_code == 200


def test_others_are_answered_as_ever(world: World) -> None:
    Permission.objects.filter(action="email.send").update(risk="critical")
    sequencer(beat=3_600)
    assert world.check("email.send")["allowed"] is True
