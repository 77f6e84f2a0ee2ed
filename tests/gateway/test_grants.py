"""More of the same kind: what a grant allows, to whom, how often, and what ends it (I2, I3)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.models import Membership, User
from agents.models import Agent, Permission
from agents.services.agents import set_status
from agents.services.permissions import change_permission
from agents.services.rules import change_rule
from approvals import grants, rules
from approvals.models import Approval, Grant
from approvals.services import review
from approvals.stops import services as stops
from approvals.terms import Terms
from audit.clock import database_now
from audit.ids import read_id
from audit.leaf import Actor
from audit.models import Event
from tests import factories
from tests.gateway.conftest import World, make_key

pytestmark = pytest.mark.django_db(transaction=True)
SYSTEM = Actor("system", "", "command line")
CONTEXT = {"amount": 500, "customer_id": "cus_1", "order": 0}
TERMS = Terms(minutes=60, uses=3, each=Decimal(500), total=Decimal(1200), same=frozenset({"customer_id"}))
Give = Callable[..., Grant]


@pytest.fixture
def give(world: World) -> Give:
    rule = factories.a_rule(world.acme, grants_allowed=True, confirm_critical=False)
    Permission.objects.filter(action__in=["stripe.refund.large", "deploy.production"]).update(approval_rule=rule)

    def grant(terms: Terms = TERMS, by: User | None = None, action: str = "stripe.refund", **context: Any) -> Grant:
        given = world.check(action, CONTEXT | context if action == "stripe.refund" else context)
        approval = world.approval(given["approval_id"])
        review(
            approval_id=approval.id,
            by=by or world.approver,
            organization=world.acme,
            verdict="approve",
            reason="Fine.",
            digest=approval.digest,
            via="browser",
            grant=terms,
        )
        return Grant.objects.get(approval=approval)

    return grant


def ask(world: World, order: int, amount: Any = 400, **more: Any) -> dict[str, Any]:
    key = more.pop("key", None)
    return world.check("stripe.refund", CONTEXT | {"amount": amount, "order": order} | more, key=key)


def test_what_is_of_the_same_kind_is_allowed_counted_and_recorded(world: World, give: Give) -> None:
    grant = give()
    allowed = ask(world, 1)
    assert (allowed["allowed"], allowed["grant_id"], allowed["status"]) == (True, grant.grant_id, "allowed")
    assert "approval_id" not in allowed
    event = Event.objects.get(kind="agent:grant:use", target=grant.grant_id)
    assert read_id("dec", allowed["decision_id"]) == event.id
    assert (event.result, event.data["grant"], event.data["use"]) == ("allow", grant.grant_id, 1)
    grant.refresh_from_db()
    assert (grant.uses, grant.used) == (1, 400)
    logged = {"agent_id": "support-bot", "action": "stripe.refund", "status": "success"}
    assert world.post("/sdk/log", logged | {"decision_id": allowed["decision_id"]}).status_code == 200


def test_uses_and_sums_come_to_an_end(world: World, give: Give) -> None:
    grant = give(replace(TERMS, total=Decimal(10_000)))
    assert [ask(world, number)["allowed"] for number in (1, 2, 3)] == [True, True, True]
    assert ask(world, 4)["status"] == "pending"  # three uses
    grant = give(order=10)
    assert ask(world, 11, 500)["grant_id"] == grant.grant_id
    assert ask(world, 12, 500)["grant_id"] == grant.grant_id
    assert ask(world, 13, 300)["status"] == "pending"  # 1,300 in all
    assert ask(world, 14, 200.5)["status"] == "pending"
    assert ask(world, 15, 201)["status"] == "pending"
    grant.refresh_from_db()
    assert (grant.uses, grant.used) == (2, 1000)


@pytest.mark.parametrize(
    "different",
    [{"amount": 501}, {"customer_id": "cus_2"}, {"customer_id": None}, {"currency": "EUR"}],
)
def test_what_differs_waits_for_a_person(world: World, give: Give, different: dict[str, Any]) -> None:
    give()
    answer = ask(world, 1, **different)
    assert answer["allowed"] is False
    assert not Event.objects.filter(kind="agent:grant:use").exists()


def test_another_mode_environment_or_agent_has_no_part_in_it(world: World, give: Give) -> None:
    give()
    other = Agent.objects.create(organization=world.acme, slug="other-bot", name="Other")
    tier = Permission.objects.get(agent=world.bot, action="stripe.refund.large")
    Permission.objects.create(
        agent=other, action="stripe.refund.large", effect="ask", max_amount=1000, approval_rule=tier.approval_rule
    )
    key = make_key(world.acme, agent=other)
    body = {"agent_id": "other-bot", "action": "stripe.refund", "context": CONTEXT | {"order": 1}}
    assert world.post("/sdk/check", body, key).json()["status"] == "pending"
    assert ask(world, 1, key=world.test_key)["status"] == "pending"
    assert ask(world, 1, key=make_key(world.acme, agent=world.bot, environment="staging"))["status"] == "pending"


def test_nobody_grants_what_their_own_key_asks(world: World, give: Give) -> None:
    give()
    own = make_key(world.acme, agent=world.bot, created_by=world.approver)
    assert ask(world, 1, key=own)["status"] == "pending"
    Agent.objects.filter(id=world.bot.id).update(owner_user=world.approver)
    assert ask(world, 2)["status"] == "pending"
    team = factories.a_team(world.acme, world.colleague)
    Agent.objects.filter(id=world.bot.id).update(owner_user=None, owner_team=team)
    assert ask(world, 3)["allowed"] is True
    team.members.add(Membership.objects.get(user=world.approver))
    assert ask(world, 4)["status"] == "pending"


def test_a_denial_is_not_overruled_and_an_approval_is_claimed_first(world: World, give: Give) -> None:
    denied, approved = ask(world, 1), ask(world, 2)
    world.decide(denied["approval_id"], "deny")
    world.decide(approved["approval_id"])
    grant = give()
    assert ask(world, 1)["status"] == "denied"
    assert ask(world, 2)["approval_id"] == approved["approval_id"]
    grant.refresh_from_db()
    assert grant.uses == 0
    assert ask(world, 2)["grant_id"] == grant.grant_id


def _suspend(world: World) -> None:
    set_status(agent=world.bot, by=SYSTEM, status="suspended", reason="x")
    set_status(agent=world.bot, by=SYSTEM, status="active")


def _tier(world: World) -> None:
    change_permission(permission=Permission.objects.get(action="stripe.refund.large"), by=SYSTEM, max_amount=900)


def _rule(world: World) -> None:
    change_rule(rule=Permission.objects.get(action="stripe.refund.large").approval_rule, by=SYSTEM, minutes=30)


def _revoke(world: World) -> None:
    grants.revoke(grant_id=Grant.objects.get().id, by=world.colleague, organization=world.acme, reason="")


def _stop(world: World) -> None:
    held = stops.stop(organization=world.acme, by=SYSTEM, reason="x", agent=world.bot, pattern="stripe.*")
    stops.ask(stop=held, by=SYSTEM, reason="y")
    stops.release(stop=held, by=SYSTEM, typed=held.confirmation)


@pytest.mark.parametrize("change", [_suspend, _tier, _rule, _revoke, _stop])
def test_what_changes_ends_it_at_once_and_for_good(world: World, give: Give, change: Callable[[World], None]) -> None:
    grant = give()
    change(world)
    grant.refresh_from_db()
    assert grant.revoked_at is not None
    assert Event.objects.filter(kind__endswith=":grant:revoke", target=grant.grant_id).count() == 1
    assert ask(world, 1)["status"] == "pending"


def test_time_and_the_end_of_who_gave_it_end_it(world: World, give: Give) -> None:
    grant = give()
    assert grant.expires_at - grant.created_at == timedelta(minutes=TERMS.minutes)
    Membership.objects.filter(user=world.approver).update(role="viewer")
    assert ask(world, 1)["status"] == "pending"
    Membership.objects.filter(user=world.approver).update(role="approver")
    assert ask(world, 2)["allowed"] is True
    Grant.objects.filter(id=grant.id).update(expires_at=database_now() - timedelta(seconds=1))
    assert ask(world, 3)["status"] == "pending"


def test_who_gave_it_still_has_to_be_one_whom_its_rule_names(world: World) -> None:
    team = factories.a_team(world.acme, world.approver)
    rule = factories.a_rule(
        world.acme,
        roles=["owner"],
        escalation=[
            {"after_minutes": 5, "roles": [], "teams": [{"id": str(team.id), "slug": team.slug}], "people": []}
        ],
        grants_allowed=True,
    )
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    approval = world.approval(ask(world, 0)["approval_id"])
    Approval.objects.filter(id=approval.id).update(escalated=1, escalate_at=None)  # nobody decided for five minutes
    given = {"reason": "Fine.", "digest": approval.digest, "via": "browser", "grant": replace(TERMS, each=Decimal(400))}
    review(approval_id=approval.id, by=world.approver, organization=world.acme, verdict="approve", **given)
    assert ask(world, 1)["allowed"] is True
    member = team.members.get()
    team.members.clear()
    assert ask(world, 2)["status"] == "pending"
    team.members.add(member)
    assert ask(world, 3)["allowed"] is True
    User.objects.filter(pk=world.approver.pk).update(is_active=False)
    assert ask(world, 4)["status"] == "pending"


def test_one_idempotency_key_is_one_use(world: World, give: Give) -> None:
    grant = give()
    first = ask_keyed(world)
    assert ask_keyed(world) == first
    grant.refresh_from_db()
    assert (first["allowed"], grant.uses) == (True, 1)


def ask_keyed(world: World) -> dict[str, Any]:
    body = {"agent_id": "support-bot", "action": "stripe.refund", "context": CONTEXT | {"order": 1}}
    return world.post("/sdk/check", body, Idempotency_Key="k").json()


def test_of_two_hundred_raced_checks_exactly_fifty_are_allowed_by_fifty_uses(world: World, give: Give) -> None:
    Agent.objects.filter(id=world.bot.id).update(max_pending=500)
    grant = give(Terms(minutes=60, uses=50, each=Decimal(500), total=Decimal(100_000), same=frozenset({"customer_id"})))

    async def race() -> list[dict[str, Any]]:
        async with httpx.AsyncClient(base_url=world.server.url, timeout=60) as client:

            async def one(number: int) -> dict[str, Any]:
                body = {"agent_id": "support-bot", "action": "stripe.refund", "context": CONTEXT | {"order": number}}
                answer = await client.post("/sdk/check", json=body, headers={"X-API-Key": world.key})
                return answer.json()

            return await asyncio.gather(*(one(number) for number in range(1, 201)))

    answers = asyncio.run(race())
    assert sum(answer["allowed"] for answer in answers) == 50
    assert [answer["status"] for answer in answers].count("pending") == 150
    grant.refresh_from_db()
    assert (grant.uses, grant.used) == (50, 25_000)
    used = Event.objects.filter(kind="agent:grant:use", target=grant.grant_id)
    assert sorted(each.data["use"] for each in used) == list(range(1, 51))


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (Terms(0, 1, Decimal(1), Decimal(1)), "grant_terms"),
        (Terms(10_081, 1, Decimal(1), Decimal(1)), "grant_terms"),
        (Terms(1, 0, Decimal(1), Decimal(1)), "grant_terms"),
        (Terms(1, 1_001, Decimal(1), Decimal(1)), "grant_terms"),
        (Terms(1, 1), "grant_terms"),
        (Terms(1, 1, Decimal(501), Decimal(600)), "grant_terms"),
        (Terms(1, 1, Decimal(500), Decimal(499)), "grant_terms"),
        (Terms(1, 1, Decimal("NaN"), Decimal(1)), "grant_terms"),
        (Terms(1, 1, Decimal(1), Decimal(1), frozenset({"amount"})), "grant_terms"),
        (Terms(1, 1, Decimal(1), Decimal(1), frozenset({"nothing"})), "grant_terms"),
    ],
)
def test_terms_that_will_not_do_decide_nothing(world: World, give: Give, terms: Terms, code: str) -> None:
    with pytest.raises(rules.Incomplete) as refused:
        give(terms)
    assert refused.value.code == code
    assert Approval.objects.get().state == "pending"
    assert not Grant.objects.exists()


def test_what_is_critical_has_no_grant_nor_what_its_rule_does_not_let(world: World, give: Give) -> None:
    Permission.objects.filter(action="deploy.production").update(risk="critical")
    with pytest.raises(rules.Refused) as refused:
        give(Terms(1, 1), action="deploy.production", ref="v1")
    assert refused.value.code == "grants"
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=factories.a_rule(world.acme))
    with pytest.raises(rules.Refused) as refused:
        give()
    assert refused.value.code == "grants"
    two = factories.a_rule(world.acme, grants_allowed=True, approvals=2)
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=two)
    with pytest.raises(rules.Refused):
        give(order=5)
    assert not Grant.objects.exists()
    assert {each.state for each in Approval.objects.all()} == {"pending"}


def test_who_does_not_decide_revokes_nothing(world: World, give: Give) -> None:
    grant = give()
    for person in (factories.a_member(world.acme, "viewer"), factories.a_member(factories.an_organization(), "owner")):
        with pytest.raises(rules.Refused):
            grants.revoke(grant_id=grant.id, by=person, organization=world.acme, reason="")
    with pytest.raises(Grant.DoesNotExist):
        grants.revoke(grant_id=grant.id, by=world.approver, organization=factories.an_organization(), reason="")
    assert json.loads(grant.same) == {"customer_id": "cus_1"}
