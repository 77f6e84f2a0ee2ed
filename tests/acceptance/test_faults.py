"""Whatever fails, the answer is never an allow (I9), and what was answered is in the record (I2)."""

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import httpx
import pytest
from django.db import connection

from accounts.secrets import hash_secret
from agents.models import ApiKey, Permission
from audit.ids import read_id
from audit.models import Event
from tests.acceptance.crowd import Ask, crowd
from tests.acceptance.line import Line
from tests.gateway.conftest import World, make_key
from tests.server import Server, free_port

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 20}}
CALL = {"tool": "stripe.refund", "arguments": {"amount": 20}, "timeout": "10m"}
LARGE = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 500}}


@pytest.fixture(scope="module")
def line(django_db_setup: None) -> Iterator[Line]:
    with Line() as line:
        yield line


@pytest.fixture(scope="module")
def server_on_the_line(line: Line) -> Iterator[Server]:
    with Server(DATABASE_URL=line.url) as server:
        yield server


@pytest.fixture
def on_the_line(world: World, line: Line, server_on_the_line: Server) -> Iterator[World]:
    """The same world, spoken to through a server whose database can be taken away."""
    line.restore()
    with httpx.Client(base_url=server_on_the_line.url, timeout=60) as client:
        far = replace(world, server=server_on_the_line, client=client)
        until_allowed(far)
        yield far
    line.restore()


def until_allowed(world: World, seconds: float = 60) -> None:
    """The service answers again by itself."""
    deadline = time.monotonic() + seconds
    while (response := world.post("/sdk/check", SMALL)).status_code != 200:
        assert response.status_code == 503, response.text
        assert time.monotonic() < deadline, "it does not recover"
        time.sleep(0.1)
    assert response.json()["allowed"] is True


def refused(response: httpx.Response) -> bool:
    return response.status_code == 503 and "allowed" not in response.json()


def allows() -> int:
    return Event.objects.filter(kind="agent:check:allow").count()


def test_while_the_database_is_away_everything_is_a_503(on_the_line: World, line: Line) -> None:
    world = on_the_line
    asked, approved = world.pending(), world.pending()
    world.decide(approved["approval_id"])
    never_seen = make_key(world.acme)
    over_aap = {
        "Authorization": f"Bearer {make_key(world.acme, agent=world.bot, scopes=['aap'])}",
        "Idempotency-Key": "k",
    }
    before = allows()
    line.cut()
    asks: list[Callable[[], httpx.Response]] = [
        *(
            partial(world.post, "/sdk/check", body)
            for body in (SMALL, LARGE, SMALL | {"action": "x.y"}, LARGE | {"idempotency_key": "k"})
        ),
        partial(world.post, "/sdk/check", SMALL, never_seen),
        partial(world.post, "/sdk/log", {"agent_id": "support-bot", "action": "a.b", "status": "success"}),
        partial(world.client.post, "/aap/v1/requests", json=CALL, headers=over_aap),
        partial(world.get, f"/sdk/approvals/{asked['approval_id']}"),
        partial(world.post, f"/sdk/approvals/{asked['approval_id']}/cancel", None),
        partial(world.post, f"/sdk/approvals/{approved['approval_id']}/claim", None, Idempotency_Key="c"),
    ]
    with ThreadPoolExecutor(len(asks)) as pool:
        answers = list(pool.map(lambda ask: ask(), asks))
    assert [refused(answer) for answer in answers] == [True] * len(asks)
    assert allows() == before
    line.restore()
    until_allowed(world)
    assert world.get(f"/sdk/approvals/{asked['approval_id']}").json()["status"] == "pending"
    claimed = world.post(f"/sdk/approvals/{approved['approval_id']}/claim", None, Idempotency_Key="c")
    assert claimed.status_code == 200


def test_a_line_that_breaks_before_anything_was_done_costs_nobody_an_answer(on_the_line: World, line: Line) -> None:
    world, cuts, before = on_the_line, line.cuts, allows()
    line.cut_before(b"BEGIN\0")
    assert world.post("/sdk/check", SMALL).json()["allowed"] is True
    assert line.cuts == cuts + 1
    assert allows() - before == 1


@pytest.mark.parametrize("answer", [b"COPY 1\0", b"COMMIT\0"])
def test_wherever_a_transaction_breaks_off_there_is_no_allow_and_a_retry_gets_one(
    on_the_line: World, line: Line, answer: bytes
) -> None:
    world, cuts, before = on_the_line, line.cuts, allows()
    body = SMALL | {"idempotency_key": "once"}
    line.cut_before(answer)
    assert refused(world.post("/sdk/check", body))
    assert line.cuts == cuts + 1
    written = allows() - before
    assert written == (1 if answer == b"COMMIT\0" else 0)  # durable, but nobody heard: not an allow
    until_allowed(world)
    before = allows()
    answers = [world.post("/sdk/check", body).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["allowed"] is True
    assert allows() - before == 1 - written
    event = Event.objects.get(id=read_id("evt", answers[0]["audit"]["event_id"]) or "")
    assert bytes(event.leaf).hex() == answers[0]["audit"]["leaf_hash"]


def test_a_claim_whose_answer_was_lost_is_answered_again_under_its_key(on_the_line: World, line: Line) -> None:
    world = on_the_line
    asked = world.pending()
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    line.cut_before(b"COMMIT\0")
    assert refused(world.post(path, None, Idempotency_Key="mine"))
    until_allowed(world)
    assert world.post(path, None, Idempotency_Key="mine").json()["claim"] is not None
    assert world.post(path, None, Idempotency_Key="other").json()["code"] == "already_claimed"
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1


def test_a_database_that_says_nothing_any_more_is_a_503_in_the_end(on_the_line: World, line: Line) -> None:
    world = on_the_line
    line.stall()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: world.post("/sdk/check", body), [SMALL, LARGE, SMALL, LARGE]))
    assert all(refused(answer) for answer in answers)
    line.restore()
    until_allowed(world)


def test_agents_that_wait_outlast_a_database_that_goes_and_comes_back(on_the_line: World, line: Line) -> None:
    world = on_the_line
    asked = world.pending()

    def wait() -> str:
        while True:
            response = world.get(f"/sdk/approvals/{asked['approval_id']}?wait=30s", timeout=60)
            if response.status_code == 200 and response.json()["status"] != "pending":
                return str(response.json()["status"])
            assert response.status_code in (200, 503), response.text
            time.sleep(0.05)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        line.cut()
        time.sleep(0.3)
        world.decide(asked["approval_id"])
        line.restore()
        assert waiting.result(60) == "approved"


@contextmanager
def no_redis(how: str) -> Iterator[str]:
    """The address of a Redis that is not there, or that takes connections and says nothing."""
    if how == "gone":
        yield f"redis://127.0.0.1:{free_port()}/0"
    else:
        with socket.create_server(("127.0.0.1", 0), backlog=1_024) as silent:
            yield f"redis://127.0.0.1:{silent.getsockname()[1]}/0"


@pytest.mark.parametrize("how", ["gone", "silent"])
def test_without_redis_checks_are_answered_and_limits_hold(world: World, how: str) -> None:
    with (
        no_redis(how) as address,
        Server(REDIS_URL=address) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        far = replace(world, server=server, client=client)
        until_allowed(far)
        asked = far.pending()
        far.decide(asked["approval_id"])
        claim = far.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
        assert claim.status_code == 200
        answers, limited = _within_one_minute(far, limit=20)
    assert [answer.status_code for answer in answers].count(200) == 20
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 429)
    assert Event.objects.filter(kind="agent:check:allow", actor_id=str(limited)).count() == 20


def _within_one_minute(world: World, limit: int) -> tuple[list[httpx.Response], uuid.UUID]:
    """50 checks under a key of `limit` a minute, all counted in the same minute of the database's clock."""
    while True:
        key = make_key(world.acme, rate_limit=limit)
        began = _minute()
        answers = crowd([world.server], key, [Ask("/sdk/check", SMALL)] * 50)
        if _minute() == began:
            return answers, ApiKey.objects.get(key_hash=hash_secret(key)).id


def _minute() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT floor(extract(epoch FROM clock_timestamp()) / 60)")
        return int(cursor.fetchone()[0])


def test_without_an_epoch_nothing_is_decided(world: World) -> None:
    until_allowed(world)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM agents_epoch")
        assert refused(world.post("/sdk/check", SMALL))
        assert refused(world.post("/sdk/check", LARGE | {"idempotency_key": "k"}))
        cursor.execute("INSERT INTO agents_epoch (id, value) VALUES (1, (random() * 1e15)::bigint)")
    until_allowed(world)


BROKEN = [
    "context.amount <",  # does not compile
    "context.missing > 1",
    "context.amount",  # no yes or no
    "context.amount / 0 > 1",
    "context.name.matches('(')",
]


def test_a_condition_that_fails_is_a_denial_and_hurts_nobody_else(world: World) -> None:
    for number, condition in enumerate(BROKEN):
        Permission.objects.create(
            agent=world.bot, action=f"ledger.write.n{number}", effect="allow", condition=condition
        )
    for number, condition in enumerate(BROKEN):
        answer = world.check(f"ledger.write.n{number}", {"amount": 20, "name": "n"})
        assert (answer["allowed"], answer["status"]) == (False, "denied"), condition
    assert world.check("stripe.refund", {"amount": 20})["allowed"] is True


@contextmanager
def held(approval_id: str) -> Iterator[None]:
    """Another session holds the approval's row."""
    session = connection.copy()
    try:
        session.set_autocommit(False)
        with session.cursor() as cursor:
            cursor.execute("SELECT 1 FROM approvals_approval WHERE id = %s FOR UPDATE", [read_id("apr", approval_id)])
            yield
    finally:
        session.rollback()
        session.close()


def test_a_lock_that_somebody_holds_delays_no_plain_allow(world: World) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    answered_meanwhile = 0
    with held(asked["approval_id"]), ThreadPoolExecutor(1) as pool:
        claim: Future[httpx.Response] = pool.submit(world.post, path, None, Idempotency_Key="c")
        while not claim.done():
            assert world.check("stripe.refund", {"amount": 20})["allowed"] is True
            answered_meanwhile += 1
        assert refused(claim.result())
    assert answered_meanwhile > 5
    assert world.post(path, None, Idempotency_Key="c").status_code == 200


def test_one_request_that_fails_takes_no_other_with_it(world: World) -> None:
    approvals = [world.pending()["approval_id"] for _ in range(20)]
    for approval_id in approvals:
        world.decide(approval_id)
    paths = [f"/sdk/approvals/{approval_id}/claim" for approval_id in approvals]
    asks = [Ask(path, None, {"Idempotency-Key": f"c-{number}"}) for number, path in enumerate(paths)]
    with held(approvals[7]):
        answers = crowd([world.server], world.key, asks)
    assert refused(answers[7])
    assert {answer.status_code for number, answer in enumerate(answers) if number != 7} == {200}
    assert Event.objects.filter(kind="agent:approval:claim").count() == len(approvals) - 1
