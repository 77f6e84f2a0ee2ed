"""An external OPA is asked about what Warden would allow or ask; it tightens, and can loosen nothing."""

import io
import json
import ssl
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.by import COMMAND_LINE
from accounts.models import Membership
from accounts.rules import Refused
from agents.load import load
from agents.models import ExternalOpa, Permission, PolicyProposal, PolicyVersion
from agents.policy.bundle import bundle_data
from agents.services.external import remove_opa, set_opa
from agents.services.proposals import accept
from agents.spiffe.mock import PEM, Authority
from audit.models import Event
from tests.docs.pages import blocks
from tests.gateway.conftest import World, make_key, make_world
from tests.gateway.opa import UNDEFINED, Opa
from tests.server import Server
from tests.warden.scraping import grown, settled

pytestmark = pytest.mark.django_db(transaction=True)
PRIVATE = "127.0.0.0/8,::1/128"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opa")
    (folder / "acme").mkdir()
    return folder


@pytest.fixture(scope="module")
def opa_server(django_db_setup: None, credentials: Path) -> Iterator[Server]:
    with Server(WEBHOOK_ALLOW_PRIVATE_NETWORKS=PRIVATE, OPA_CREDENTIALS_DIR=str(credentials)) as server:
        yield server


@pytest.fixture
def world(opa_server: Server, transactional_db: None, settings: Any, credentials: Path) -> Iterator[World]:
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ip_network(network) for network in PRIVATE.split(",")]
    settings.OPA_CREDENTIALS_DIR = str(credentials)
    with httpx.Client(base_url=opa_server.url, timeout=20) as client:
        yield make_world(opa_server, client)


@pytest.fixture
def opa() -> Iterator[Opa]:
    with Opa(lambda asked: True) as running:
        yield running


def gate(world: World, opa: Opa, **fields: Any) -> None:
    set_opa(organization=world.acme, by=COMMAND_LINE, url=opa.url, **({"timeout_ms": 3_000} | fields))


def last(world: World) -> Event:
    return Event.objects.filter(organization_id=world.acme.pk, kind__startswith="agent:").latest("at")


def test_without_one_nothing_is_asked_and_with_one_what_is_denied_anyway_is_not(world: World, opa: Opa) -> None:
    assert world.check("email.send")["allowed"] is True
    assert "external_opa" not in last(world).data
    gate(world, opa)
    assert world.check("database.drop")["status"] == "denied"
    assert world.check("never.heard_of")["status"] == "denied"
    assert opa.asked == []
    answer = world.check("email.send")
    assert (answer["allowed"], answer.get("cacheable", False)) == (True, False)
    assert len(opa.asked) == 1
    remove_opa(organization=world.acme, by=COMMAND_LINE)
    assert world.check("email.send")["allowed"] is True
    opa.asked.clear()  # this process had to hear of it, and may have asked once more
    assert world.check("email.send")["allowed"] is True
    assert opa.asked == []


def test_it_is_told_who_asks_for_what_and_what_the_tiers_came_to(world: World, opa: Opa) -> None:
    gate(world, opa)
    world.check("stripe.refund", {"amount": 500, "order": "o-1"})
    assert opa.asked == [
        {
            "organization": "acme",
            "mode": "live",
            "agent": "support-bot",
            "caller_spiffe_id": None,
            "resource_spiffe_id": None,
            "action": "stripe.refund",
            "context": {"amount": 500, "order": "o-1"},
            "environment": None,
            "amount": "500.00",
            "currency": "USD",
            "permission": "stripe.refund.large",
            "risk": "low",
            "decision": "ask",
            "claim": False,
        }
    ]
    [shown] = blocks("docs/external-opa.md", "json")
    assert json.loads(shown.text)["input"].keys() == opa.asked[0].keys()


@pytest.mark.parametrize(
    ("said", "allowed", "asked"),
    [
        (True, "allowed", "pending"),
        (False, "denied", "denied"),
        ({"allow": True}, "allowed", "pending"),
        ({"allow": False, "reason": "Not on Sundays"}, "denied", "denied"),
        ({"allow": True, "requires_approval": True}, "pending", "pending"),
        ({"allow": False, "requires_approval": True}, "pending", "pending"),
        (UNDEFINED, "denied", "denied"),
        ({}, "denied", "denied"),
        ("true", "denied", "denied"),
        (1, "denied", "denied"),
        (None, "denied", "denied"),
        ([True], "denied", "denied"),
        ({"allow": "true"}, "denied", "denied"),
        ({"allow": True, "requires_approval": "no"}, "denied", "denied"),
    ],
)
def test_what_it_says_tightens_and_never_loosens(world: World, opa: Opa, said: Any, allowed: str, asked: str) -> None:
    opa.rule = lambda question: said
    gate(world, opa)
    assert world.check("email.send")["status"] == allowed
    assert world.check("deploy.production")["status"] == asked
    assert world.check("database.drop")["status"] == "denied"


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"", 200), (b"{", 200), (b'{"result": NaN}', 200), (b'{"result": true}', 500), (b"[" * 100_000, 200)],
)
def test_an_answer_that_means_nothing_denies(world: World, opa: Opa, raw: bytes, status: int) -> None:
    opa.raw, opa.status = raw or b" ", status
    gate(world, opa)
    assert world.check("email.send")["allowed"] is False


def test_its_reason_reaches_the_agent_the_trace_and_the_record(world: World, opa: Opa) -> None:
    opa.rule = lambda asked: {"allow": False, "reason": "Not on\nSundays"}
    gate(world, opa)
    answer = world.check("email.send")
    assert (answer["status"], answer["reason"]) == ("denied", "Denied by the external policy: Not on Sundays")
    data = last(world).data
    assert data["code"] == "opa_denied"
    assert (data["external_opa"]["said"], data["external_opa"]["reason"]) == ("deny", "Not on Sundays")
    assert data["trace"][-1] == ["external OPA", "opa_denies", "It denies, and a deny wins: Not on Sundays"]


def test_one_that_is_slow_or_away_denies_within_its_time(world: World, opa: Opa) -> None:
    gate(world, opa, timeout_ms=200)
    opa.delay = 3.0
    answer = world.check("email.send")
    assert (answer["status"], answer["reason"]) == ("denied", "The external policy gave no answer")
    data = last(world).data
    assert data["code"] == "opa_failed"
    assert data["external_opa"]["reason"] == "No answer within 200 ms"
    assert data["external_opa"]["milliseconds"] < 1_000
    set_opa(organization=world.acme, by=COMMAND_LINE, url="http://127.0.0.1:9/v1/data/acme/warden")
    assert world.check("email.send")["reason"] == "The external policy gave no answer"
    assert last(world).data["external_opa"]["reason"].startswith("It could not be asked")


def test_others_are_answered_while_it_is_waited_for(world: World, opa: Opa) -> None:
    """The lanes and the loop go on: another organization's check is answered long before."""
    gate(world, opa, timeout_ms=3_000)
    opa.delay = 2.0
    other = make_world(world.server, world.client, f"other-{uuid.uuid4().hex[:6]}")
    other.check("email.send")
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=world.server.url, timeout=20) as client:
        body = {"agent_id": "support-bot", "action": "email.send"}
        waiting = pool.submit(client.post, "/sdk/check", json=body, headers={"X-API-Key": world.key})
        while not opa.asked:
            threading.Event().wait(0.01)
        assert other.check("email.send")["allowed"] is True
        assert not waiting.done()
        assert waiting.result(10).json()["allowed"] is True


def test_it_is_asked_again_when_an_approval_is_taken_by_either_way(world: World, opa: Opa) -> None:
    gate(world, opa)
    first = world.check("deploy.production", {"n": 1})
    world.decide(first["approval_id"])
    opa.rule = lambda asked: {"allow": not asked["claim"], "reason": "Frozen"}
    claim = f"/sdk/approvals/{first['approval_id']}/claim"
    refused = world.post(claim, {}, Idempotency_Key="a")
    assert (refused.status_code, refused.json()["code"]) == (409, "opa_denied")
    assert "Frozen" in refused.json()["detail"]
    assert last(world).kind == "agent:approval:refuse"
    opa.rule = lambda asked: False
    assert world.check("deploy.production", {"n": 1})["status"] == "denied"
    opa.rule = lambda asked: {"allow": True, "requires_approval": True}  # which it has
    taken = world.post(claim, {}, Idempotency_Key="b")
    assert taken.status_code == 200, taken.text
    assert last(world).data["external_opa"]["said"] == "ask"
    assert opa.asked[-1]["claim"] is True


def test_what_was_allowed_and_now_needs_a_person_is_approved_and_taken_like_any_other(world: World, opa: Opa) -> None:
    opa.rule = lambda asked: {"allow": True, "requires_approval": True}
    gate(world, opa)
    asked = world.check("email.send", {"to": "x"})
    assert asked["status"] == "pending"
    assert last(world).data["trace"][-1][1] == "opa_asks"
    world.decide(asked["approval_id"])
    assert world.check("email.send", {"to": "x"})["allowed"] is True


def test_one_idempotency_key_has_one_answer_whoever_asks_at_once(world: World, opa: Opa) -> None:
    gate(world, opa)
    opa.delay = 0.1
    body = {"agent_id": "support-bot", "action": "deploy.production", "context": {"n": 2}}

    def ask(_: int) -> Any:
        with httpx.Client(base_url=world.server.url, timeout=20) as client:
            return client.post("/sdk/check", json=body, headers={"X-API-Key": world.key, "Idempotency-Key": "k"}).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert len({answer["approval_id"] for answer in answers}) == 1
    world.decide(answers[0]["approval_id"])

    def take(_: int) -> int:
        with httpx.Client(base_url=world.server.url, timeout=20) as client:
            headers = {"X-API-Key": world.key, "Idempotency-Key": "c"}
            claim = f"/sdk/approvals/{answers[0]['approval_id']}/claim"
            return client.post(claim, json={}, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(take, range(8))) == [200] * 8
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1


def test_questions_of_opa_clients_go_through_it_too(world: World, opa: Opa) -> None:
    name = "spiffe://example.com/agent/support/production"
    world.bot.spiffe_id = name
    world.bot.save(update_fields=["spiffe_id"])
    Permission.objects.create(agent=world.bot, action="agentweave.query", effect="allow")
    key = make_key(world.acme, agent=world.bot, scopes=["authz:query"])
    gate(world, opa)

    def ask() -> dict[str, Any]:
        answer = world.client.post(
            "/v1/data/agentweave/authz",
            json={"input": {"caller_spiffe_id": name, "action": "query"}},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["result"])

    assert ask()["allow"] is True
    assert opa.asked[-1]["caller_spiffe_id"] == name
    opa.rule = lambda asked: {"allow": False, "reason": "No"}
    assert ask()["allow"] is False


def test_a_bundle_beside_the_agents_allows_nothing_that_it_would_have_to_agree_to(world: World, opa: Opa) -> None:
    world.bot.spiffe_id = "spiffe://example.com/agent/support/production"
    world.bot.save(update_fields=["spiffe_id"])

    def unclear() -> set[bool]:
        data = bundle_data(load(world.acme.pk).policy)
        levels = next(iter(data["agents"].values()))["exact"].values()
        return {rung["unclear"] for level in levels for rung in level["rungs"]}

    assert unclear() == {False}
    gate(world, opa)
    assert unclear() == {True}


def test_connections_are_kept(world: World, opa: Opa) -> None:
    gate(world, opa)
    for number in range(20):
        assert world.check("email.send", {"n": number})["allowed"] is True
    assert len(opa.asked) == 20
    assert opa.connections == 1


def test_live_questions_are_counted_by_what_was_said(world: World, opa: Opa) -> None:
    gate(world, opa)
    before = settled(world.server.url)
    world.check("email.send")
    world.check("email.send", key=world.test_key)
    opa.rule = lambda asked: UNDEFINED
    world.check("email.send")
    assert [asked["mode"] for asked in opa.asked] == ["live", "test", "live"]
    after = settled(world.server.url)
    assert grown(before, after, "agentwarden_external_opa_total") == {
        frozenset({("said", said)}): 1 for said in ("allow", "failed")
    }
    assert list(grown(before, after, "agentwarden_external_opa_seconds_count").values()) == [2]


# Secrets, certificates, addresses


@pytest.fixture
def authority() -> Authority:
    return Authority.new("example.com")


def test_it_speaks_tls_with_our_certificate_and_a_token_from_files(
    world: World, authority: Authority, credentials: Path, tmp_path: Path
) -> None:
    own = authority.x509("spiffe://example.com/opa", dns=["localhost"])
    ours = authority.x509("spiffe://example.com/warden")
    for name, content in (
        ("own.pem", own.chain),
        ("own.key", own.key),
        ("ca.pem", authority.certificate.public_bytes(PEM)),
    ):
        (tmp_path / name).write_bytes(content)
    folder = credentials / "acme"
    for name, content in (
        ("ca.pem", authority.certificate.public_bytes(PEM)),
        ("client.pem", ours.chain),
        ("client.key", ours.key),
        ("token", b"s3cret\n"),
    ):
        (folder / name).write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "own.pem", tmp_path / "own.key")
    tls.load_verify_locations(tmp_path / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    with Opa(lambda asked: True, token="s3cret", tls=tls) as opa:
        whole = {
            "ca_file": "ca.pem",
            "certificate_file": "client.pem",
            "key_file": "client.key",
            "token_file": "token",
        }
        gate(world, opa, **whole)
        assert world.check("email.send")["allowed"] is True
        for missing in ("token_file", "certificate_file", "ca_file"):
            fewer = {name: value for name, value in whole.items() if name != missing}
            if missing == "certificate_file":
                del fewer["key_file"]
            gate(world, opa, **fewer)
            assert world.check("email.send")["reason"] == "The external policy gave no answer"
            opa.asked.clear()
            assert world.check("email.send")["allowed"] is False
            assert opa.asked == [], f"it was asked without {missing}"
    assert "s3cret" not in world.server.log.read_text()
    assert not Event.objects.filter(body__contains="s3cret").exists()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"url": "ftp://opa.example.com/"}, "url"),
        ({"url": "http://169.254.169.254/v1/data/x"}, "url"),
        ({"url": "http://10.0.0.1/v1/data/x"}, "url"),
        ({"url": "https://user:pass@opa.example.com/"}, "url"),
        ({"timeout_ms": 5}, "timeout_ms"),
        ({"timeout_ms": 60_000}, "timeout_ms"),
        ({"token_file": "../globex/token"}, "token_file"),
        ({"token_file": "/etc/passwd"}, "token_file"),
        ({"token_file": "none"}, "__all__"),
        ({"key_file": "x.key"}, "key_file"),
    ],
)
def test_what_could_not_be_asked_is_refused(world: World, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        set_opa(organization=world.acme, by=COMMAND_LINE, **({"url": "https://opa.example.com/v1/data/x"} | fields))
    assert list(refused.value.message_dict) == [named]
    assert not ExternalOpa.objects.exists()


def test_a_name_that_leads_inside_later_is_not_followed(world: World, opa: Opa) -> None:
    """The row was set before whoever runs Warden took the private network away, say."""
    gate(world, opa)
    ExternalOpa.objects.update(url="http://10.255.255.1:8181/v1/data/x")
    world.bot.name = "Renamed"
    world.bot.save(update_fields=["name"])
    assert world.check("email.send")["allowed"] is False
    assert "private" in last(world).data["external_opa"]["reason"]


def test_where_policy_takes_two_one_may_add_it_and_not_loosen_it(world: World, opa: Opa) -> None:
    world.acme.policy_by_two = True
    world.acme.save(update_fields=["policy_by_two"])
    owner = Membership.objects.get(user=world.owner)
    row = set_opa(organization=world.acme, by=owner, url=opa.url)
    assert row.set_by == world.owner
    with pytest.raises(Refused, match="propose another external OPA, or none"):
        set_opa(organization=world.acme, by=owner, url=opa.url, timeout_ms=900)
    with pytest.raises(Refused, match="propose another external OPA, or none"):
        remove_opa(organization=world.acme, by=owner)
    versions = list(PolicyVersion.objects.filter(organization=world.acme).values_list("version", flat=True))
    remove_opa(organization=world.acme, by=COMMAND_LINE)
    remove_opa(organization=world.acme, by=COMMAND_LINE)
    assert len(set(PolicyVersion.objects.values_list("version", flat=True)) - set(versions)) == 1


def test_what_takes_two_is_proposed_on_the_page_and_asked_once_another_accepts(
    world: World, opa: Opa, client: Client
) -> None:
    gate(world, opa, timeout_ms=500)
    world.acme.policy_by_two = True
    world.acme.save(update_fields=["policy_by_two"])
    as_owner(client, world)
    page = reverse("agents:external_opa")
    assert "Propose this" in client.get(page).content.decode()
    wrong = client.post(page, {"url": opa.url, "timeout_ms": "900", "token_file": "nowhere"})
    assert (wrong.status_code, "There is no file nowhere" in wrong.content.decode()) == (422, True)
    shown = client.post(page, {"url": opa.url, "timeout_ms": "900"}, follow=True).content.decode()
    assert "timeout ms 500 → 900  (widens)" in shown
    assert ExternalOpa.objects.get().timeout_ms == 500
    bob = Membership.objects.get(user=world.approver)
    Membership.objects.filter(pk=bob.pk).update(role="admin")
    bob.refresh_from_db()
    waiting = PolicyProposal.objects.get()
    with pytest.raises(Refused, match="yourself"):
        accept(proposal=waiting, by=Membership.objects.get(user=world.owner), digest=waiting.digest)
    accept(proposal=waiting, by=bob, digest=waiting.digest)
    assert ExternalOpa.objects.get().timeout_ms == 900

    opa.rule = lambda asked: False
    assert world.check("email.send")["allowed"] is False
    remove = reverse("agents:external_opa_remove")
    assert "Propose to remove" in client.get(remove).content.decode()
    assert "external OPA" in client.post(remove, follow=True).content.decode()
    assert ExternalOpa.objects.exists()
    waiting = PolicyProposal.objects.get(state="waiting")
    assert (waiting.summary, "(widens)" in waiting.words) == ("0 to add, 0 to change, 1 to remove", True)
    accept(proposal=waiting, by=bob, digest=waiting.digest)
    assert not ExternalOpa.objects.exists()
    assert world.check("email.send")["allowed"] is True


# By hand and by script


def as_owner(client: Client, world: World) -> Client:
    client.force_login(world.owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_the_page_sets_tries_and_removes_it(world: World, opa: Opa, client: Client) -> None:
    as_owner(client, world)
    page = reverse("agents:external_opa")
    assert "the tiers decide alone" in client.get(page).content.decode()
    wrong = client.post(page, {"url": "http://169.254.169.254/", "timeout_ms": "500"})
    assert (wrong.status_code, "never sent to" in wrong.content.decode()) == (422, True)
    assert client.post(page, {"url": opa.url, "timeout_ms": "700", "ca_file": ""}).status_code == 302
    assert ExternalOpa.objects.get(organization=world.acme).timeout_ms == 700
    assert "It answered" in client.post(reverse("agents:external_opa_try")).content.decode()
    opa.status = 503
    assert "It answered 503" in client.post(reverse("agents:external_opa_try")).content.decode()
    assert client.post(reverse("agents:external_opa_remove")).status_code == 302
    assert not ExternalOpa.objects.exists()


def test_the_simulator_shows_what_it_says(world: World, opa: Opa, client: Client) -> None:
    opa.rule = lambda asked: {"allow": False, "reason": "Not on Sundays"}
    gate(world, opa)
    as_owner(client, world)
    where = reverse("agents:detail", args=[world.bot.slug])
    shown = client.post(where, {"action": "email.send", "context": "{}"}).content.decode()
    assert "It denies, and a deny wins: Not on Sundays" in shown
    said = run("simulate_check", "support-bot", "email.send", "--organization", "acme")
    assert (said["outcome"], said["code"]) == ("deny", "opa_denied")


def test_commands_set_show_and_remove_it(world: World, opa: Opa) -> None:
    made = run("set_external_opa", opa.url, "--timeout-ms", "900", "--organization", "acme")
    assert (made["url"], made["timeout_ms"]) == (opa.url, 900)
    assert run("show_external_opa", "--try", "--organization", "acme")["tried"]["said"] == "allow"
    with pytest.raises(CommandError, match="private"):
        run("set_external_opa", "http://10.0.0.1/", "--organization", "acme")
    run("remove_external_opa", "--organization", "acme")
    assert run("show_external_opa", "--organization", "acme") is None


def run(*words: str) -> Any:
    out = io.StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())
