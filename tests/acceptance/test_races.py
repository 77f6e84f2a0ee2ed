"""Everybody at once: two people, two servers, a thousand claims. One end, one allow, one answer (I1, I4, I5)."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from accounts.models import User
from approvals import rules, services
from approvals.models import Approval, Review
from audit.models import Event
from gateway.models import Idempotency
from tests import factories
from tests.acceptance.crowd import Ask, crowd
from tests.gateway.conftest import World
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
PAIRS, CLAIMS, CHECKS, ENDINGS = 1_000, 1_000, 200, 100
CHECK = "/sdk/check"
ENDS = [
    "person:approval:approved",
    "person:approval:denied",
    "system:approval:expired",
    "agent:approval:cancel",
]


@pytest.fixture(scope="module")
def another_server(running_server: Server) -> Iterator[Server]:
    """A second process on the same database."""
    with Server() as server:
        yield server


@pytest.fixture
def servers(world: World, another_server: Server) -> list[Server]:
    return [world.server, another_server]


def refund(**context: object) -> dict[str, object]:
    return {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 500} | context}


def together(rounds: int, *contenders: Callable[[int], str]) -> list[tuple[str, ...]]:
    """Every contender in a thread of its own, starting each round at the same moment; what each was told."""
    ready = threading.Barrier(len(contenders))

    def run(contender: Callable[[int], str]) -> list[str]:
        chance = random.Random(contender.__name__)
        told = []
        try:
            for number in range(rounds):
                ready.wait(timeout=60)
                time.sleep(chance.random() / 1_000)  # whoever is the first to be woken does not always win
                told.append(contender(number))
        except BaseException:
            ready.abort()
            raise
        finally:
            connection.close()
        return told

    with ThreadPoolExecutor(len(contenders)) as pool:
        return list(zip(*pool.map(run, contenders), strict=True))


def decide(world: World, approval: Approval, by: User, verdict: rules.Verdict) -> str:
    """What this person was told. Anything but success or a conflict is an error of the test."""
    try:
        return services.review(
            approval_id=approval.id,
            by=by,
            organization=world.acme,
            verdict=verdict,
            reason="raced",
            digest=approval.digest,
            via="browser",
        ).state
    except rules.Conflict as conflict:
        return conflict.code


def final_events() -> Counter[str]:
    return Counter(Event.objects.filter(kind__in=ENDS).values_list("target", flat=True))


def test_of_a_thousand_pairs_of_an_approval_and_a_denial_each_comes_to_one_end(world: World) -> None:
    approvals = [factories.an_approval(agent=world.bot) for _ in range(PAIRS)]

    def approve(number: int) -> str:
        return decide(world, approvals[number], world.approver, "approve")

    def deny(number: int) -> str:
        return decide(world, approvals[number], world.colleague, "deny")

    told = together(PAIRS, approve, deny)
    states = dict(Approval.objects.values_list("id", "state"))
    for approval, pair in zip(approvals, told, strict=True):
        won = states[approval.id]
        assert pair in (("approved", "decided"), ("decided", "denied")), pair
        assert won in pair
    wins = Counter(states.values())
    assert set(wins) == {"approved", "denied"}, wins  # it was a race
    assert final_events() == Counter({approval.approval_id: 1 for approval in approvals})
    kinds = Counter(Event.objects.filter(kind__in=ENDS).values_list("kind", flat=True))
    assert kinds == {"person:approval:approved": wins["approved"], "person:approval:denied": wins["denied"]}
    assert Review.objects.count() == PAIRS


def test_an_approval_a_deadline_and_an_agent_that_gives_up_come_to_one_end(world: World) -> None:
    chance = random.Random(1)
    approvals: list[Approval] = []
    clients = httpx.Client(base_url=world.server.url, headers={"X-API-Key": world.key}, timeout=60)

    def approve(number: int) -> str:
        time.sleep(chance.random() / 50)
        return decide(world, approvals[number], world.approver, "approve")

    def expire(number: int) -> str:
        for _ in range(4):
            services.expire_due()
            time.sleep(0.005)
        return ""

    def cancel(number: int) -> str:
        time.sleep(chance.random() / 50)
        response = clients.post(f"/sdk/approvals/{approvals[number].approval_id}/cancel")
        assert response.status_code in (200, 409), response.text
        return str(response.json().get("status") or response.json()["code"])

    with clients:
        told = []
        for number in range(ENDINGS):
            approvals.append(factories.an_approval(agent=world.bot, minutes=chance.random() / 3_000))  # 0 to 20 ms
            told += together(1, *(_at(number, contender) for contender in (approve, expire, cancel)))
    services.expire_due()
    wins: Counter[str] = Counter()
    for approval, (approver, _, canceller) in zip(approvals, told, strict=True):
        approval.refresh_from_db()
        wins[approval.state] += 1
        assert (approver, canceller) in {
            "approved": [("approved", "already_decided")],
            "cancelled": [("cancelled", "cancelled")],
            "expired": [("expired", "already_decided")],
        }[approval.state]
    assert len(wins) == 3, wins  # it was a race
    assert final_events() == Counter({approval.approval_id: 1 for approval in approvals})


def _at(number: int, contender: Callable[[int], str]) -> Callable[[int], str]:
    def once(_: int) -> str:
        return contender(number)

    return once


def test_of_a_thousand_claims_of_one_approval_one_takes_it(world: World, servers: list[Server]) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    answers = crowd(servers, world.key, [Ask(path, None, {"Idempotency-Key": f"c-{n}"}) for n in range(CLAIMS)])
    taken = [answer for answer in answers if answer.status_code == 200]
    others = [(answer.status_code, answer.json()["code"]) for answer in answers if answer.status_code != 200]
    assert len(taken) == 1
    assert others == [(409, "already_claimed")] * (CLAIMS - 1)
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1
    receipt = taken[0].json()
    assert receipt["claim"]["digest"] == world.approval(asked["approval_id"]).digest


def test_of_two_hundred_identical_checks_of_an_approved_request_one_is_allowed(
    world: World, servers: list[Server]
) -> None:
    asked = world.check("stripe.refund", {"amount": 500})
    world.decide(asked["approval_id"])
    answers = [answer.json() for answer in crowd(servers, world.key, [Ask(CHECK, refund())] * CHECKS)]
    allowed = [answer for answer in answers if answer["allowed"]]
    assert len(allowed) == 1
    assert allowed[0]["approval_id"] == asked["approval_id"]
    pending = {answer["approval_id"] for answer in answers if answer["status"] == "pending"}
    assert len(pending) == 1
    assert pending != {asked["approval_id"]}
    assert Approval.objects.count() == 2
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1


def test_a_claim_and_an_identical_check_do_not_both_take_an_approval(world: World, servers: list[Server]) -> None:
    asked = world.check("stripe.refund", {"amount": 500})
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    asks = [
        Ask(path, None, {"Idempotency-Key": f"c-{n}"}) if n % 4 < 2 else Ask(CHECK, refund()) for n in range(CHECKS)
    ]
    answers = crowd(servers, world.key, asks)
    claims = [answer for answer in answers if answer.url.path == path and answer.status_code == 200]
    allows = [answer for answer in answers if answer.url.path == CHECK and answer.json()["allowed"]]
    assert len(claims) + len(allows) == 1
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1


def test_two_hundred_identical_checks_make_one_request(world: World, servers: list[Server]) -> None:
    answers = crowd(servers, world.key, [Ask(CHECK, refund())] * CHECKS)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["approval_id"] for answer in answers} == {Approval.objects.get().approval_id}
    assert not any(answer.json()["allowed"] for answer in answers)


def one_answer(answers: Sequence[httpx.Response]) -> bytes:
    assert {answer.status_code for answer in answers} == {200}
    said = {answer.content for answer in answers}
    assert len(said) == 1
    return said.pop()


@pytest.mark.parametrize("amount", [20, 500])
def test_one_idempotency_key_two_hundred_times_at_once_is_one_answer(
    world: World, servers: list[Server], amount: int
) -> None:
    asks = [Ask(CHECK, refund(amount=amount), {"Idempotency-Key": "k"})] * CHECKS
    first = one_answer(crowd(servers, world.key, asks))
    assert one_answer(crowd(servers, world.key, asks)) == first
    assert Event.objects.filter(kind__startswith="agent:check:").count() == 1
    assert Approval.objects.count() == (1 if amount == 500 else 0)
    assert Idempotency.objects.count() == 1


def test_one_idempotency_key_with_two_bodies_at_once_answers_one_and_refuses_the_other(
    world: World, servers: list[Server]
) -> None:
    bodies = [refund(order="a"), refund(order="b")]
    asks = [Ask(CHECK, bodies[n // 2 % 2], {"Idempotency-Key": "k"}) for n in range(CHECKS)]
    answers = crowd(servers, world.key, asks)
    winners = [n // 2 % 2 for n, answer in enumerate(answers) if answer.status_code == 200]
    assert winners == [winners[0]] * (CHECKS // 2)
    one_answer([answer for answer in answers if answer.status_code == 200])
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(422, "idempotency_conflict")}
    assert Approval.objects.count() == 1
