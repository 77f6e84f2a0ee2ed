"""Everything at the door ends: queues, waits, bodies, transactions; and no memory is older than it may be."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from django.db import connection, transaction

from accounts.models import Organization
from accounts.secrets import hash_secret, new_secret
from agents.load import find_keys
from audit.leaf import SYSTEM, Entry
from audit.models import Event
from gateway import app, policies, writer
from gateway.app import conninfo, read_body
from gateway.policies import Policies
from gateway.waiting import Waiters
from gateway.writer import Batch, Job, Lane, Unavailable
from tests import factories
from tests.gateway.conftest import make_key

pytestmark = pytest.mark.django_db(transaction=True)


class Note(Job[str]):
    """A job that records itself."""

    def __init__(self, name: str = "note") -> None:
        super().__init__()
        self.name = name


ORGANIZATION = uuid.uuid4()
LIMIT = 262_144  # bytes


async def note(batch: Batch, jobs: list[Note]) -> None:
    for job in jobs:
        batch.record(Entry("system:test:note", ORGANIZATION, "live", SYSTEM, action=job.name))
        job.answer = job.name


type Made = Callable[..., Lane[Note]]


@pytest_asyncio.fixture
async def made() -> AsyncIterator[Made]:
    """Lanes that are stopped in the end."""
    lanes: list[Lane[Note]] = []

    def make(work: Any = note, **more: Any) -> Lane[Note]:
        lane: Lane[Note] = Lane("test", conninfo(), work, **more)
        lane.start()
        lanes.append(lane)
        return lane

    yield make
    for lane in lanes:
        await lane.stop()


async def run(lane: Lane[Note], job: Note) -> str:
    lane.submit(job)
    return await asyncio.wait_for(job.future, 20)


async def django[T](function: Callable[[], T]) -> T:
    """What Django says, on a thread that gives its connection back."""
    return await asyncio.to_thread(policies._in_thread, function)


def notes() -> list[str]:
    return list(Event.objects.filter(organization_id=ORGANIZATION).values_list("action", flat=True))


# Lanes


async def test_what_comes_on_top_of_a_full_queue_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "QUEUE", 3)
    lane = made()
    jobs = [Note() for _ in range(5)]
    for job in jobs:
        lane.submit(job)
    assert [job.future.done() for job in jobs] == [False, False, False, True, True]
    answers = await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)
    assert answers[:3] == ["note"] * 3
    assert all(isinstance(answer, Unavailable) for answer in answers[3:])


async def test_a_job_whose_caller_has_given_up_is_never_begun(made: Made) -> None:
    lane = made()
    job = Note("late")
    job.until = 0.0
    with pytest.raises(Unavailable):
        await run(lane, job)
    assert await run(lane, Note("in time")) == "in time"
    assert await django(notes) == ["in time"]


async def test_a_transaction_that_does_not_end_is_ended_and_the_lane_goes_on(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.5)

    async def hang(batch: Batch, jobs: list[Note]) -> None:
        if jobs[0].name == "hangs":
            await batch.connection.execute("SELECT pg_sleep(4)")
        await note(batch, jobs)

    lane = made(hang)
    with pytest.raises(Unavailable):
        await run(lane, Note("hangs"))
    assert await run(lane, Note("goes on")) == "goes on"
    assert await django(notes) == ["goes on"]


async def test_what_fails_after_the_commit_does_not_run_it_again(made: Made) -> None:
    async def fail_afterwards(batch: Batch, jobs: list[Note]) -> None:
        await note(batch, jobs)
        batch.after.append(lambda: 1 / 0)

    lane = made(fail_afterwards)
    assert await asyncio.gather(*(run(lane, Note(name)) for name in "ab")) == ["a", "b"]
    assert sorted(await django(notes)) == ["a", "b"]


async def test_options_of_the_database_url_are_kept_beside_the_gateways_own() -> None:
    options = writer.session({"options": "-c search_path=warden"})["options"]
    assert options.startswith("-c search_path=warden ")
    assert "statement_timeout" in options


# Keys and policies


def a_key() -> bytes:
    organization = Organization.objects.create(slug=f"org-{uuid.uuid4().hex[:8]}", name="An organization")
    return hash_secret(make_key(organization))


async def test_two_epochs_never_share_what_was_read() -> None:
    key_hash = await django(a_key)
    both = Policies()
    older = both.at(5)
    assert await older.key(key_hash) is not None
    newer = both.at(6)
    assert newer.cached_key(key_hash) is None
    assert both.at(6) is newer
    again = both.at(5)  # a connection that began earlier goes on later
    assert await again.key(key_hash) is not None
    assert newer.cached_key(key_hash) is None
    both.stop()


async def test_a_read_that_began_in_one_epoch_is_kept_for_no_other() -> None:
    key_hash = await django(a_key)
    both = Policies()
    reading = asyncio.create_task(both.at(5).key(key_hash))
    await asyncio.sleep(0)
    newer, again = both.at(6), both.at(5)
    assert await reading is not None
    assert newer.cached_key(key_hash) is None
    assert again.cached_key(key_hash) is None
    both.stop()


async def test_a_new_connection_forgets_because_it_may_be_another_database(made: Made) -> None:
    both = Policies()
    held = both.at(7)
    lane = made(connected=both.forget)
    await run(lane, Note())
    assert both.at(7) is not held
    both.stop()


async def test_a_flood_of_made_up_keys_shares_its_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    real = await django(a_key)
    queries: list[int] = []

    def counted(key_hashes: Any) -> Any:
        queries.append(len(key_hashes))
        return find_keys(key_hashes)

    monkeypatch.setattr(policies, "find_keys", counted)
    both = Policies()
    flood = [hash_secret(new_secret("ak_")) for _ in range(600)]
    *none, facts = await asyncio.gather(*(both.current.key(key_hash) for key_hash in [*flood, real]))
    assert none == [None] * 600
    assert facts is not None
    assert len(queries) <= 2
    both.stop()


async def test_a_policy_that_cannot_be_read_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[uuid.UUID] = []

    def broken(organization_id: uuid.UUID) -> None:
        tries.append(organization_id)
        raise ValueError("a permission that means nothing")

    monkeypatch.setattr(policies, "load", broken)
    both = Policies()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await both.current.of(ORGANIZATION)
    assert tries == [ORGANIZATION]
    both.stop()


# Waiting


async def test_one_key_leaves_places_to_the_others() -> None:
    waiters, greedy, modest = Waiters(conninfo()), uuid.uuid4(), uuid.uuid4()
    watched = [waiters.watch(uuid.uuid4(), greedy) for _ in range(9)]
    for each in watched:
        assert not waiters.full(greedy, 10)
        each.__enter__()
    assert waiters.full(greedy, 10)
    assert not waiters.full(modest, 10)
    for each in watched:
        each.__exit__(None, None, None)
    assert not waiters.full(greedy, 10)
    assert waiters.count == 0


# Bodies


def receiving(*messages: dict[str, Any]) -> Any:
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        message = next(left, None)
        if message is None:
            await asyncio.sleep(60)
        return message or {}

    return receive


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_very_many_parts_is_put_together_in_time() -> None:
    parts = [part(b"x", more=True)] * 200_000
    assert (
        await asyncio.wait_for(read_body(receiving(*parts, part(b"y", more=False)), LIMIT), 5) == b"x" * 200_000 + b"y"
    )


async def test_who_is_gone_claims_nothing() -> None:
    with pytest.raises(asyncio.CancelledError):
        await read_body(receiving({"type": "http.disconnect"}), LIMIT)


async def test_a_body_that_does_not_arrive_is_waited_for_no_longer(settings: Any) -> None:
    settings.GATEWAY_BODY_SECONDS = 0.1
    with pytest.raises(app.TooSlow):
        await read_body(receiving(part(b"{", more=True)), LIMIT)


@pytest.mark.parametrize("table", ["approval_open_once", "approval_digest", "approval_asked"])
def test_finding_the_latest_of_a_digest_uses_its_indexes(table: str) -> None:
    from approvals.intake import LATEST

    with transaction.atomic(), connection.cursor() as cursor:
        factories.an_approval(agent=factories.an_agent(factories.an_organization()))
        cursor.execute(
            "INSERT INTO approvals_approval SELECT (jsonb_populate_record(approval, jsonb_build_object("
            " 'id', gen_random_uuid(), 'digest', encode(sha256(n::text::bytea), 'hex')))).*"
            " FROM approvals_approval AS approval, generate_series(1, 2000) AS n"
        )
        cursor.execute("ANALYZE approvals_approval")
        cursor.execute(f"EXPLAIN {LATEST}", {"wanted": ["a" * 64]})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert table in plan
    assert "Seq Scan" not in plan
