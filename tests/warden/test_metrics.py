"""/metrics: the numbers are those of the traffic, from all processes, and only for who may read them."""

import contextlib
import threading
import time
import uuid
from pathlib import Path

import httpx
import pytest
from django.db import connection
from django.test import Client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pytest_django import Settings

from gateway import metrics
from gateway.metrics import LABEL_SETS, labelled, observe
from tests.factories import an_agent, an_approval, an_organization
from tests.gateway.conftest import World
from tests.server import Server
from tests.warden.scraping import grown, key, labels, scrape, settled
from warden.metrics import Now

TOKEN = "a-token-of-enough-characters-to-be-one"
CHECKS, DENIALS = "agentwarden_checks_total", "agentwarden_denials_total"
ERRORS, REQUESTS = "agentwarden_errors_total", "agentwarden_requests_total"


def of(action: str, result: str, agent: str = "support-bot") -> frozenset[tuple[str, str]]:
    return labels(agent_id=agent, action=action, result=result)


@pytest.mark.django_db(transaction=True)
def test_the_numbers_are_those_of_the_traffic_and_two_processes_add_up(one: World, other: World) -> None:
    before = settled(one.server.url)
    for world in (one, other):
        for amount in (20, 30, 120):
            assert world.check("stripe.refund", {"amount": amount})["allowed"]
        assert not world.check("database.drop")["allowed"]
        assert not world.check("made.up.by_the_agent")["allowed"]
    asked = one.pending(500)
    assert other.check("stripe.refund", asked_again := one.approval(asked["approval_id"]).context_data)["approval_id"]
    one.decide(asked["approval_id"])  # in this process, which counts for itself
    assert other.check("stripe.refund", asked_again)["allowed"]
    for _ in range(3):
        one.check("email.send", idempotency_key="one-key")
    after = settled(other.server.url)

    assert grown(before, after, CHECKS) == {
        of("stripe.refund.small", "allowed"): 4,
        of("stripe.refund.medium", "allowed"): 2,
        of("database.drop", "denied"): 2,
        of("other", "denied"): 2,
        of("stripe.refund.large", "pending"): 2,
        of("stripe.refund.large", "allowed"): 1,
        of("email.send", "allowed"): 1,
        of("other", "repeated", "other"): 2,
    }
    assert grown(before, after, DENIALS) == {labels(action="database.drop"): 2, labels(action="other"): 2}
    assert grown(before, after, "agentwarden_check_duration_seconds_count") == {labels(): 16}
    assert grown(before, after, REQUESTS) == {labels(endpoint="check", status="200"): 16}
    assert grown(before, after, ERRORS) == {}
    assert grown(before, after, "agentwarden_approvals_total") == {
        labels(event="requested"): 1,
        labels(event="claimed"): 1,
    }
    # The 14 new answers. first_use of the key may be written meanwhile, by either process.
    assert grown(before, after, "agentwarden_record_events_total")[labels()] in (14, 15)
    again = scrape(one.server.url)
    assert {name: again[name] for name in after if name[0] == CHECKS} == {
        name: value for name, value in after.items() if name[0] == CHECKS
    }


@pytest.mark.django_db(transaction=True)
def test_both_formats_of_prometheus_say_the_same(one: World) -> None:
    one.check("email.send")
    plain = settled(one.server.url)
    opened = scrape(one.server.url, openmetrics=True)
    assert {name for name in plain if "_created" not in name[0]} == {
        name for name in opened if "_created" not in name[0]
    }
    assert opened[key(CHECKS, agent_id="support-bot", action="email.send", result="allowed")] >= 1


@pytest.mark.django_db(transaction=True)
def test_errors_are_counted_by_kind_and_strangers_choose_no_label(one: World) -> None:
    before = settled(one.server.url)
    hostile = f"evil-{uuid.uuid4().hex}"
    body = {"agent_id": "support-bot", "action": "email.send"}
    assert one.post("/sdk/check", body, "ak_nonsense").status_code == 401
    assert one.post("/sdk/check", body | {"agent_id": hostile}).status_code == 403
    assert one.post("/sdk/check", body | {"action": 5}).status_code == 422
    assert one.post("/sdk/check", body | {"action": f"{hostile}.x"}).status_code == 200
    assert one.get(f"/sdk/{hostile}").status_code == 404
    assert one.get("/sdk/check").status_code == 405
    after = settled(one.server.url)
    assert grown(before, after, ERRORS) == {
        labels(kind="unauthorized"): 1,
        labels(kind="forbidden"): 1,
        labels(kind="malformed"): 1,
        labels(kind="not_found"): 2,
    }
    assert grown(before, after, CHECKS) == {of("other", "refused", "other"): 1, of("other", "denied"): 1}
    assert hostile not in httpx.get(f"{one.server.url}/metrics").text


@pytest.mark.django_db(transaction=True)
def test_test_keys_are_not_counted(one: World) -> None:
    before = settled(one.server.url)
    one.check("email.send", key=one.test_key)
    one.check("database.drop", key=one.test_key)
    one.pending(500, key=one.test_key)
    one.post("/sdk/check", {"agent_id": "support-bot"}, one.test_key)
    after = settled(one.server.url)
    for name in (CHECKS, DENIALS, REQUESTS, ERRORS, "agentwarden_approvals_total"):
        assert grown(before, after, name) == {}
    assert after[key("agentwarden_approvals_pending")] == 0


@pytest.mark.django_db(transaction=True)
def test_agents_over_their_limit_are_counted(one: World) -> None:
    one.bot.api_keys.update(rate_limit=2)
    before = settled(one.server.url)
    statuses = [
        one.post("/sdk/check", {"agent_id": "support-bot", "action": "email.send"}).status_code for _ in "12345"
    ]
    after = settled(one.server.url)
    refused = statuses.count(429)
    assert refused >= 1
    assert grown(before, after, "agentwarden_rate_limited_total") == {labels(): refused}
    assert grown(before, after, ERRORS) == {}


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_seen_and_forgotten_when_its_process_is_killed(one: World, counts: Path) -> None:
    waiting = key("agentwarden_waiting_agents")
    asked = one.pending()
    with Server(PROMETHEUS_MULTIPROC_DIR=str(counts)) as third:
        threads = [
            threading.Thread(target=_wait, args=(third.url, asked["approval_id"], one.key), daemon=True) for _ in "123"
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 20
        while settled(one.server.url)[waiting] != 3:
            assert time.monotonic() < until
        before = scrape(one.server.url)
        third.kill()
        until = time.monotonic() + 20
        while (after := scrape(one.server.url))[waiting] != 0:  # its workers end a moment after it
            assert time.monotonic() < until
        assert (
            after[key("agentwarden_requests_total", endpoint="check", status="200")]
            == (before[key("agentwarden_requests_total", endpoint="check", status="200")])
        )
        for thread in threads:
            thread.join(10)


def _wait(url: str, approval_id: str, secret: str) -> None:
    with contextlib.suppress(httpx.TransportError):  # the server is killed
        httpx.get(f"{url}/sdk/approvals/{approval_id}?wait=30s", headers={"X-API-Key": secret}, timeout=40)


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_people_is_told_with_its_age() -> None:
    acme = an_organization()
    bot = an_agent(acme)
    oldest = an_approval(agent=bot)
    an_approval(agent=bot)
    an_approval(agent=bot, mode="test")
    type(oldest).objects.filter(id=oldest.id).update(created_at=oldest.created_at - oldest.created_at.resolution * 90e6)
    told = {family.name: family.samples[0].value for family in Now().collect()}
    assert told["agentwarden_approvals_pending"] == 2
    assert told["agentwarden_approvals_oldest_pending_seconds"] == pytest.approx(90, abs=5)
    assert told["agentwarden_database_up"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_database_is_asked_at_most_every_five_seconds() -> None:
    now = Now()
    before = {family.name: family.samples[0].value for family in now.collect()}
    an_approval(agent=an_agent(an_organization()))
    assert {family.name: family.samples[0].value for family in now.collect()} == before


@pytest.mark.django_db(transaction=True)
def test_without_its_database_a_server_still_tells_what_it_counted(client: Client) -> None:
    with without_approvals():
        told = list(Now().collect())
    assert [(family.name, family.samples[0].value) for family in told] == [("agentwarden_database_up", 0)]


class without_approvals:
    """The table is away for a while."""

    def __enter__(self) -> None:
        self._do("ALTER TABLE approvals_approval RENAME TO approvals_gone")

    def __exit__(self, *_: object) -> None:
        self._do("ALTER TABLE approvals_gone RENAME TO approvals_approval")

    def _do(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)


def test_too_many_labels_become_other() -> None:
    registry = CollectorRegistry()
    seen = Counter("seen_total", "…", ["action"], registry=registry)
    for _ in range(2):
        for number in range(LABEL_SETS + 50):
            labelled(seen, f"action-{number}").inc()
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == "seen_total"]
    assert len(samples) == LABEL_SETS + 1
    assert sum(sample.value for sample in samples) == 2 * (LABEL_SETS + 50)
    assert registry.get_sample_value("seen_total", {"action": "other"}) == 100
    left = Gauge("left", "…", ["agent"], registry=registry)
    for number in range(LABEL_SETS + 50):
        labelled(left, f"agent-{number}").set(number)
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == "left"]
    assert len(samples) == LABEL_SETS + 1


def test_a_result_is_told_of_agents_past_the_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.metrics.LABEL_SETS", 0)
    before = metrics.CHECKS.labels("other", "other", "denied")._value.get()
    labelled(metrics.CHECKS, "late-agent", "late.action", "denied").inc()
    assert metrics.CHECKS.labels("other", "other", "denied")._value.get() == before + 1


def test_observing_at_once_is_observing_each() -> None:
    mine, theirs = CollectorRegistry(), CollectorRegistry()
    at_once = Histogram("took_seconds", "…", buckets=(0.001, 0.01, 1), registry=mine)
    each = Histogram("took_seconds", "…", buckets=(0.001, 0.01, 1), registry=theirs)
    values = [0, 100, 0.001, 0.0011, 0.01, 0.5, 1, 2]
    observe(at_once, values)
    observe(at_once, [])
    for value in values:
        each.observe(value)
    assert _values(mine) == _values(theirs)


def _values(registry: CollectorRegistry) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]


@pytest.fixture
def token(settings: Settings) -> str:
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}", "Bearer ünïcode"],
)
def test_a_stranger_reads_nothing(client: Client, token: str, header: str) -> None:
    response = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert b"agentwarden_" not in response.content


@pytest.mark.django_db
def test_who_has_the_token_reads(client: Client, token: str) -> None:
    response = client.get("/metrics", headers={"Authorization": f"Bearer {token}"}, REMOTE_ADDR="203.0.113.9")
    assert response.status_code == 200
    assert b"agentwarden_policy_reloads_total" in response.content


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_without_a_token_this_machine_reads(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "", "nonsense"])
def test_without_a_token_nobody_else_does(client: Client, address: str) -> None:
    response = client.get("/metrics", REMOTE_ADDR=address)
    assert response.status_code == 403
    assert b"METRICS_TOKEN" in response.content


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_proxy_on_this_machine_does_not_open_it_to_the_world(client: Client, header: str) -> None:
    assert client.get("/metrics", headers={header: "203.0.113.9"}, REMOTE_ADDR="127.0.0.1").status_code == 403


def test_production_without_a_token_shows_it_to_nobody(client: Client, settings: Settings) -> None:
    settings.PRODUCTION = True
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_read_only(client: Client, method: str) -> None:
    assert getattr(client, method)("/metrics").status_code == 405
