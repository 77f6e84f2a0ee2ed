"""What is typed into a page of settings holds at the agents' door: each field by itself, from form to answer."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.by import COMMAND_LINE
from agents.models import Permission
from agents.services.rules import change_rule
from approvals.models import Approval
from audit.clock import database_now
from gateway.lateness import FRESH
from tests import factories
from tests.gateway.conftest import World, make_key

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
ACTION = "crm.note.add"
TIER = {"action": ACTION, "effect": "allow", "risk": "low"}
ORGANIZATION = {
    "name": "Acme",
    "environments": "production, staging, development",
    "cooldown": "10",
    "cooldown_unit": "60",
    "claim": "1",
    "claim_unit": "3600",
    "retention_months": "36",
}


@pytest.fixture
def page(world: World, client: Client) -> Client:
    """The pages, as the organization's owner sees them."""
    client.force_login(world.owner, backend=BACKEND)
    return client


def type_tier(page: Client, **typed: Any) -> Permission:
    answer = page.post("/agents/support-bot/tiers/new/", TIER | typed)
    assert answer.status_code == 302, answer.context["form"].errors
    return Permission.objects.get(action=typed.get("action", ACTION))


def type_organization(page: Client, **typed: Any) -> None:
    answer = page.post("/settings/organization/", ORGANIZATION | typed)
    assert answer.status_code == 302, answer.context["form"].errors


@pytest.mark.parametrize(
    ("typed", "passes", "stops", "said"),
    [
        ({"action": "crm.note.edit"}, {"action": "crm.note.edit"}, {}, "No permission for action 'crm.note.add'"),
        ({"effect": "deny"}, None, {}, "Denied by permission 'crm.note.add'"),
        ({"max_amount": "50"}, {"amount": 50}, {"amount": 50.01}, "Amount 50.01 exceeds maximum allowed 50.00"),
        (
            {"max_amount": "50", "currency": "usd"},
            {"amount": 1, "currency": "USD"},
            {"amount": 1, "currency": "EUR"},
            "Currency EUR does not match USD",
        ),
        ({"environment": "staging"}, {"environment": "staging"}, {}, "No permission for action 'crm.note.add' without"),
        ({"condition": "context.vip == true"}, {"vip": True}, {"vip": False}, "Condition of 'crm.note.add' is not met"),
        ({"callee": "spiffe://example.com/crm/live"}, None, {}, "No permission for action 'crm.note.add'"),
        ({"count_per_hour": "1"}, {}, {}, "Budget of 'crm.note.add' is used up: 1 of 1 this hour"),
    ],
    ids=lambda value: next(reversed(value), "") if isinstance(value, dict) else None,
)
def test_what_is_typed_for_a_tier_holds_for_the_next_check(
    world: World, page: Client, typed: dict[str, str], passes: dict[str, Any] | None, stops: dict[str, Any], said: str
) -> None:
    type_tier(page, **typed)

    def ask(asked: dict[str, Any]) -> dict[str, Any]:
        context = dict(asked)
        action, environment = context.pop("action", ACTION), context.pop("environment", None)
        key = make_key(world.acme, agent=world.bot, environment=environment) if environment else world.key
        return world.check(action, context, key=key)

    if passes is not None:
        assert ask(passes)["allowed"] is True
    stopped = ask(stops)
    assert (stopped["allowed"], stopped["status"]) == (False, "denied")
    assert stopped["reason"].startswith(said)


def test_a_tier_that_asks_asks_by_the_rule_and_with_the_risk_that_were_chosen(world: World, page: Client) -> None:
    rule = factories.a_rule(world.acme, minutes=7)
    type_tier(page, effect="ask", risk="high", approval_rule=rule.pk)
    asked = world.check(ACTION)
    approval = world.approval(asked["approval_id"])
    assert (asked["status"], approval.risk, approval.rule["name"]) == ("pending", "high", rule.name)
    assert approval.expires_at - approval.created_at == timedelta(minutes=7)


def test_a_request_is_decided_and_taken_under_the_version_of_the_rule_it_was_made_under(world: World) -> None:
    rule = factories.a_rule(world.acme, roles=["approver"])
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    first = world.pending()["approval_id"]
    change_rule(rule=rule, by=COMMAND_LINE, roles=["owner", "approver"], approvals=2)
    second = world.pending()["approval_id"]
    for asked in (first, second):
        world.decide(asked)
    found = {asked: world.approval(asked) for asked in (first, second)}
    assert [(row.rule["version"], row.state) for row in found.values()] == [(1, "approved"), (2, "pending")]
    assert world.post(f"/sdk/approvals/{first}/claim", None, Idempotency_Key="one").status_code == 200
    world.decide(second, by=world.colleague)
    assert world.approval(second).state == "approved"


def test_a_tier_ends_at_the_time_that_was_typed(world: World, page: Client) -> None:
    at = database_now() + timedelta(days=2)
    row = type_tier(page, expires_at=f"{at:%Y-%m-%dT%H:%M}")
    assert row.expires_at == at.replace(second=0, microsecond=0)
    assert world.check(ACTION)["allowed"] is True
    Permission.objects.filter(pk=row.pk).update(expires_at=database_now())
    assert world.check(ACTION)["reason"].startswith("Permission for 'crm.note.add' expired at ")


def _other_environments(world: World, page: Client) -> None:
    key = make_key(world.acme, agent=world.bot, environment="staging")
    assert world.check("email.send", key=key)["allowed"] is True
    type_organization(page, environments="production, development")
    assert world.check("email.send", key=key)["reason"] == "Unknown environment 'staging'"


def _no_cool_down(world: World, page: Client) -> None:
    context = {"amount": 500, "order": "one"}
    first = world.check("stripe.refund", context)["approval_id"]
    world.decide(first, "deny")
    assert world.check("stripe.refund", context)["status"] == "denied"
    type_organization(page, cooldown="0")
    again = world.check("stripe.refund", context)
    assert (again["status"], again["approval_id"] != first) == ("pending", True)


def _less_time_to_claim(world: World, page: Client) -> None:
    type_organization(page, claim="40", claim_unit="1")
    asked = world.pending()["approval_id"]
    world.decide(asked)
    row = world.approval(asked)
    assert row.claim_until
    assert row.decided_at
    assert row.claim_until - row.decided_at == timedelta(seconds=40)
    Approval.objects.filter(pk=row.pk).update(claim_until=database_now())
    assert (
        world.post(f"/sdk/approvals/{asked}/claim", None, Idempotency_Key="late").json()["code"] == "approval_expired"
    )


def _high_risk_is_denied_without_a_record(world: World, page: Client) -> None:
    assert world.check("deploy.production")["status"] == "pending"
    type_organization(page, deny_when_late="on")
    time.sleep(1.2 * FRESH.total_seconds())
    assert world.check("deploy.production", {"again": 1})["status"] == "denied"  # nothing was ever put in order here
    assert world.check("email.send")["allowed"] is True


@pytest.mark.parametrize(
    "holds",
    [_other_environments, _no_cool_down, _less_time_to_claim, _high_risk_is_denied_without_a_record],
    ids=lambda each: each.__name__.strip("_"),
)
def test_what_is_typed_for_the_organization_holds_for_the_next_check(
    world: World, page: Client, holds: Callable[[World, Client], None]
) -> None:
    holds(world, page)
