"""Two organizations alike to the last slug, test beside live, one environment beside another: no way across (I10)."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from accounts.models import Membership, User
from accounts.services import tokens
from agents.models import Agent, ApiKey, Permission
from approvals.models import Approval
from audit.models import Event
from gateway.models import Idempotency
from tests.acceptance.visitor import cookies_of, everything
from tests.gateway.conftest import World, make_key, make_world, tiers
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
LARGE = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 500}}
SMALL = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 20}}


@pytest.fixture
def globex(server: Server) -> Iterator[World]:
    """Another organization: the same agent slug, the same tiers."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield make_world(server, client, "globex")


def strangers(world: World, other: World) -> list[str]:
    """Keys to which an approval that `world.key` asked for is not there."""
    colleague = Agent.objects.create(organization=world.acme, slug="other-bot", name="Other")
    tiers(colleague)
    return [
        other.key,
        make_key(other.acme),  # for every agent over there
        other.test_key,
        world.test_key,  # the same organization, but test
        make_key(world.acme, mode="test", agent=world.bot),
        make_key(world.acme, agent=colleague),
        make_key(world.acme, agent=world.bot, environment="staging"),
    ]


def test_an_approval_is_not_there_for_anybody_elses_key(world: World, globex: World) -> None:
    pending, approved = world.pending()["approval_id"], world.pending()["approval_id"]
    world.decide(approved)
    taken = world.pending()["approval_id"]
    world.decide(taken)
    assert world.post(f"/sdk/approvals/{taken}/claim", None, Idempotency_Key="known").status_code == 200
    for key in strangers(world, globex):
        for approval_id in (pending, approved, taken):
            path = f"/sdk/approvals/{approval_id}"
            answers = [
                world.get(path, key),
                world.get(f"{path}?wait=1s", key),
                world.get(f"{path}/events", key),
                world.post(f"{path}/cancel", None, key),
                world.post(f"{path}/claim", None, key, Idempotency_Key="mine"),
                world.post(f"{path}/claim", None, key, Idempotency_Key="known"),  # the owner's own idempotency key
            ]
            assert [answer.status_code for answer in answers] == [404] * len(answers)
            assert {answer.text for answer in answers} == {'{"detail":"Approval not found"}'}
    states = dict(Approval.objects.values_list("id", "state"))
    assert states[world.approval(pending).id] == "pending"
    assert world.approval(approved).claimed_at is None


def test_identical_checks_of_others_are_requests_of_their_own(world: World, globex: World) -> None:
    keys = {
        "acme": world.key,
        "acme test": make_key(world.acme, mode="test", agent=world.bot),
        "acme staging": make_key(world.acme, agent=world.bot, environment="staging"),
        "globex": globex.key,
        "globex test": globex.test_key,
    }
    asked = {name: world.post("/sdk/check", LARGE, key).json() for name, key in keys.items()}
    assert len({answer["approval_id"] for answer in asked.values()}) == len(keys)
    assert {answer["status"] for answer in asked.values()} == {"pending"}
    world.decide(asked["acme"]["approval_id"])
    for name, key in keys.items():
        if name != "acme":
            answer = world.post("/sdk/check", LARGE, key).json()
            assert (answer["allowed"], answer["approval_id"]) == (False, asked[name]["approval_id"])
    assert world.post("/sdk/check", LARGE).json()["allowed"] is True


def test_a_denial_is_the_answer_to_its_own_organization_alone(world: World, globex: World) -> None:
    asked = world.post("/sdk/check", LARGE).json()
    world.decide(asked["approval_id"], "deny", reason="not in acme")
    assert world.post("/sdk/check", LARGE).json()["status"] == "denied"
    for key in (globex.key, globex.test_key, world.test_key):
        answer = world.post("/sdk/check", LARGE, key)
        assert answer.json()["status"] == "pending"
        assert "not in acme" not in answer.text


def test_one_idempotency_key_means_something_else_to_everybody(world: World, globex: World) -> None:
    def keyed(body: dict[str, Any], key: str) -> dict[str, Any]:
        response = world.post("/sdk/check", body, key, Idempotency_Key="refund-1")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    Permission.objects.create(agent=world.bot, action="deploy.now", effect="allow", environment="staging")
    staging = make_key(world.acme, agent=world.bot, environment="staging")
    mine = keyed(LARGE, world.key)
    others = [keyed(LARGE, globex.key), keyed(SMALL, globex.test_key), keyed(SMALL, world.test_key)]
    assert len({each["decision_id"] for each in [mine, *others]}) == 4
    assert keyed(LARGE, world.key) == mine
    assert [each["allowed"] for each in others] == [False, True, True]
    deploy = {"agent_id": "support-bot", "action": "deploy.now"}
    assert keyed(deploy, staging)["allowed"] is True
    refused = world.post("/sdk/check", deploy, Idempotency_Key="refund-2").json()
    assert refused["allowed"] is False
    assert world.post("/sdk/check", deploy, staging, Idempotency_Key="refund-2").json()["allowed"] is True
    assert Idempotency.objects.count() == 7


def test_a_limit_that_one_key_has_reached_limits_no_other(world: World, globex: World) -> None:
    tight = make_key(world.acme, agent=world.bot, rate_limit=3)
    answers = [world.post("/sdk/check", SMALL, tight).status_code for _ in range(10)]
    assert set(answers) == {200, 429}
    for key in (world.key, world.test_key, globex.key, globex.test_key):
        assert world.post("/sdk/check", SMALL, key).json()["allowed"] is True


def test_what_an_agent_logs_refers_to_its_own_decisions_alone(world: World, globex: World) -> None:
    decision, asked = globex.check("stripe.refund", {"amount": 20}), globex.pending()
    body = {"agent_id": "support-bot", "action": "stripe.refund", "status": "success"}
    for key in (world.key, world.test_key, globex.test_key):
        for about in ({"decision_id": decision["decision_id"]}, {"approval_id": asked["approval_id"]}):
            response = world.post("/sdk/log", body | about, key)
            assert response.status_code == 422
            assert "no such" in response.json()["detail"]
    assert not Event.objects.filter(kind="agent:action:log").exists()
    assert globex.approval(asked["approval_id"]).outcome == ""


def test_an_agent_is_found_by_its_own_keys_alone(world: World, globex: World) -> None:
    by_id = {"agent_id": str(globex.bot.id), "action": "email.send"}
    assert world.post("/sdk/check", by_id).status_code == 403  # a key of one agent
    assert world.post("/sdk/check", by_id, make_key(world.acme)).status_code == 404
    assert globex.post("/sdk/check", by_id).json()["allowed"] is True
    assert not Event.objects.filter(organization_id=globex.acme.id, actor_id__in=ids_of_keys(world)).exists()


def ids_of_keys(world: World) -> list[str]:
    return [str(pk) for pk in ApiKey.objects.filter(organization=world.acme).values_list("id", flat=True)]


def leave_traces(world: World, key: str, mark: str) -> list[str]:
    """Decisions, approvals, reviews, logs and keys of every kind; what must not be seen from elsewhere."""
    allowed = world.check("email.send", {"note": f"{mark}-allowed"}, key=key)
    denied = world.check("x.y", {"note": f"{mark}-denied"}, key=key)
    waiting = world.check("deploy.production", {"note": f"{mark}-asked"}, key=key, reasoning=f"{mark}-because")
    decided = world.check("deploy.production", {"note": f"{mark}-decided"}, key=key)
    world.decide(decided["approval_id"], reason=f"{mark}-reason")
    log = {"agent_id": "support-bot", "action": "email.send", "status": "failed", "context": {"note": f"{mark}-log"}}
    logged = world.post("/sdk/log", log, key).json()
    answers = (allowed, denied, waiting, decided)
    return [
        mark,
        logged["id"].removeprefix("log_"),
        *(answer["decision_id"].removeprefix("dec_") for answer in answers),
        *(answer["approval_id"] for answer in (waiting, decided)),
    ]


def seen(pages: Iterable[httpx.Response], marks: list[str]) -> list[tuple[str, str]]:
    return [(str(page.url), mark) for page in pages for mark in marks if mark in page.text]


def test_no_page_shows_a_trace_of_another_organization(world: World, globex: World) -> None:
    mine = leave_traces(world, world.key, f"acme{uuid.uuid4().hex}")
    theirs = leave_traces(globex, globex.key, f"globex{uuid.uuid4().hex}")
    Agent.objects.create(organization=globex.acme, slug="globex-only-bot", name="Globex only")
    theirs += ["globex-only-bot", "globex.example", str(globex.acme.id), *ids_of_keys(globex)]
    pages = list(everything(world.server.url, world.owner))
    assert len(pages) > 40, [str(page.url) for page in pages]
    assert seen(pages, theirs) == []
    assert {mark for _, mark in seen(pages, mine)} == set(mine)  # what may be seen was found


def test_no_page_of_live_shows_a_trace_of_test_nor_the_other_way_round(world: World) -> None:
    live = leave_traces(world, world.key, f"alive{uuid.uuid4().hex}")
    tested = leave_traces(world, world.test_key, f"tried{uuid.uuid4().hex}")
    for mode, own, other in (("live", live, tested), ("test", tested, live)):
        pages = list(everything(world.server.url, world.owner, mode))
        assert seen(pages, other) == []
        assert own[0] in {mark for _, mark in seen(pages, own)}


def test_an_address_of_another_organization_is_not_found(world: World, globex: World) -> None:
    asked = globex.pending()
    event = asked["audit"]["event_id"]
    Agent.objects.filter(organization=globex.acme).update(slug="globex-bot")
    tier = Permission.objects.filter(agent=globex.bot).first()
    assert tier
    key = ApiKey.objects.filter(organization=globex.acme).first()
    assert key
    member = Membership.objects.get(user=globex.approver)
    paths = [
        f"/approvals/{asked['approval_id']}",
        f"/approvals/{asked['approval_id']}/approve",
        f"/approvals/{asked['approval_id']}/context.json",
        f"/audit/{event}",
        f"/audit/{event}/body",
        "/agents/globex-bot/",
        "/agents/globex-bot/history/",
        f"/agents/support-bot/tiers/{tier.id}/",
        f"/keys/{key.id}/revoke/",
        f"/settings/members/{member.pk}/",
    ]
    with httpx.Client(base_url=world.server.url, cookies=cookies_of(world.owner), timeout=60) as browser:
        answers = {path: browser.get(path).status_code for path in paths}
    assert set(answers.values()) == {404}, answers
    with httpx.Client(base_url=world.server.url, cookies=cookies_of(globex.owner), timeout=60) as browser:
        assert browser.get(paths[0]).status_code == 200


def token_of(who: User) -> str:
    member = Membership.objects.get(user=who)
    _, secret = tokens.create(
        member=member,
        name="script",
        scopes=["agents:read", "approvals:read", "approvals:decide", "logs:read"],
        days=None,
        by=member,
    )
    return secret


def test_a_token_reads_and_decides_in_its_own_organization_alone(world: World, globex: World) -> None:
    leave_traces(world, world.key, "acme-mark")
    leave_traces(globex, globex.key, "globex-mark")
    asked = globex.pending()
    headers = {"Authorization": f"Bearer {token_of(world.approver)}"}
    with httpx.Client(base_url=world.server.url, headers=headers, timeout=60) as script:
        for path in ("/api/agents", "/api/logs?limit=100", "/api/approvals"):
            answer = script.get(path)
            assert answer.status_code == 200, answer.text
            assert "globex-mark" not in answer.text
            assert str(globex.acme.id) not in answer.text
        assert script.get(f"/api/agents/{globex.bot.id}").status_code == 404
        decided = script.post(f"/api/approvals/{asked['approval_id']}/approve", json={"reason": "across"})
        assert decided.status_code == 404
    assert globex.approval(asked["approval_id"]).state == "pending"
