"""SVIDs at the web server's door: JWTs, and certificates that a proxy forwards."""

import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agents.models import Agent
from agents.spiffe.mock import Svid
from tests.gateway.conftest import World
from tests.server import Server
from tests.spiffe.conftest import AUDIENCE, CALLER, Trust
from tests.warden.scraping import grown, key, labels, settled

pytestmark = pytest.mark.django_db(transaction=True)
BODY = {"agent_id": "support-bot", "action": "email.send"}


@pytest.fixture
def client(spiffe_server: Server, acme: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=spiffe_server.url, timeout=20) as client:
        yield client


def check(client: httpx.Client, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/sdk/check", json=BODY, headers=named)


def forwarded(svid: Svid, more: str = "") -> str:
    return f'By=spiffe://example.com/proxy;Hash=00;Cert="{quote(svid.chain.decode())}"{more}'


def test_a_jwt_svid_is_as_good_as_a_key(client: httpx.Client, trusted: Trust) -> None:
    answer = check(client, Authorization=f"Bearer {trusted.ours.jwt(CALLER, AUDIENCE)}")
    assert answer.json()["allowed"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        "audience",
        "expired",
        "no expiry",
        "stranger",
        "partner",
        "none",
        "hmac",
        "another key",
        "another curve",
        "not yet",
        "garbage",
        "no agent",
    ],
)
def test_a_jwt_that_proves_nothing_opens_nothing(client: httpx.Client, trusted: Trust, wrong: str) -> None:
    ours = trusted.ours
    good = {"sub": CALLER, "aud": AUDIENCE, "exp": time.time() + 600}
    tokens = {
        "audience": lambda: ours.jwt(CALLER, "https://elsewhere.example.com"),
        "expired": lambda: ours.jwt(CALLER, AUDIENCE, ttl=timedelta(seconds=-1)),
        "no expiry": lambda: ours.jwt(CALLER, AUDIENCE, exp=None),
        "stranger": lambda: trusted.stranger.jwt("spiffe://stranger.example/agent/x", AUDIENCE),
        "partner": lambda: trusted.partner.jwt(CALLER, AUDIENCE),
        "none": lambda: jwt.encode(good, None, "none"),
        "hmac": lambda: jwt.encode(good, "a secret of enough characters, really", "HS256", headers={"kid": "mock"}),
        "another key": lambda: jwt.encode(good, ec.generate_private_key(ec.SECP256R1()), "ES256"),
        "another curve": lambda: jwt.encode(good, ec.generate_private_key(ec.SECP384R1()), "ES384"),
        "not yet": lambda: ours.jwt(CALLER, AUDIENCE, nbf=time.time() + 600),
        "garbage": lambda: "a.b.c",
        "no agent": lambda: ours.jwt("spiffe://example.com/agent/unknown", AUDIENCE),
    }
    answer = check(client, Authorization=f"Bearer {tokens[wrong]()}")
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_jwt_svid_ends_while_it_is_in_use(client: httpx.Client, trusted: Trust) -> None:
    token = trusted.ours.jwt(CALLER, AUDIENCE, ttl=timedelta(seconds=2))
    assert check(client, Authorization=f"Bearer {token}").status_code == 200
    time.sleep(2.2)
    assert check(client, Authorization=f"Bearer {token}").status_code == 401


def test_a_banned_agents_svid_opens_nothing_at_all(client: httpx.Client, trusted: Trust, acme: World) -> None:
    token = {"Authorization": f"Bearer {trusted.ours.jwt(CALLER, AUDIENCE)}"}
    assert client.get("/sdk/whoami", headers=token).status_code == 200
    Agent.objects.filter(pk=acme.bot.pk).update(status="banned")
    assert client.get("/sdk/whoami", headers=token).status_code == 401
    Agent.objects.filter(pk=acme.bot.pk).update(status="active")
    assert client.get("/sdk/whoami", headers=token).status_code == 200


def test_a_certificate_that_the_named_proxy_forwards_is_believed(client: httpx.Client, trusted: Trust) -> None:
    header = forwarded(trusted.ours.x509(CALLER), f';Subject="O=SPIRE";URI={CALLER}')
    answer = check(client, X_Forwarded_Client_Cert=header)
    assert answer.json().get("allowed") is True, answer.text


def test_and_verified_all_the_same(client: httpx.Client, trusted: Trust) -> None:
    for svid in (
        trusted.partner.x509(CALLER),
        trusted.stranger.x509(CALLER),
        trusted.ours.x509(CALLER, ttl=timedelta(minutes=-1)),
    ):
        assert check(client, X_Forwarded_Client_Cert=forwarded(svid)).status_code == 401
    assert check(client, X_Forwarded_Client_Cert=f"URI={CALLER}").status_code == 401
    two = f"{forwarded(trusted.ours.x509(CALLER))},{forwarded(trusted.ours.x509(CALLER))}"
    assert check(client, X_Forwarded_Client_Cert=two).status_code == 401


def test_who_is_no_named_proxy_cannot_forward_a_certificate(server: Server, trusted: Trust, acme: World) -> None:
    """This server names no proxy: the header is as if it were not there, beside a key too."""
    header = forwarded(trusted.ours.x509(CALLER))
    with httpx.Client(base_url=server.url) as client:
        assert check(client, X_Forwarded_Client_Cert=header).status_code == 401
        assert check(client, X_Forwarded_Client_Cert="nonsense", X_API_Key=acme.key).status_code == 200


def test_a_header_that_says_who_asks_comes_once(client: httpx.Client, trusted: Trust) -> None:
    header = ("X-Forwarded-Client-Cert", forwarded(trusted.ours.x509(CALLER)))
    assert client.post("/sdk/check", json=BODY, headers=[header, header]).status_code == 400


def test_what_is_refused_is_counted_and_rotation_is_watched(
    client: httpx.Client, spiffe_server: Server, trusted: Trust
) -> None:
    before = settled(spiffe_server.url)
    ours = trusted.ours
    for token in (
        ours.jwt(CALLER, AUDIENCE, ttl=timedelta(seconds=200)),
        ours.jwt(CALLER, AUDIENCE, ttl=timedelta(seconds=-5)),
        ours.jwt(CALLER, "https://elsewhere.example.com"),
        ours.jwt("spiffe://example.com/agent/unknown", AUDIENCE),
    ):
        check(client, Authorization=f"Bearer {token}")
    after = settled(spiffe_server.url)
    assert grown(before, after, "agentweave_authz_denied_total") == {
        labels(reason="svid_expired"): 1,
        labels(reason="svid_audience"): 1,
        labels(reason="unknown_caller"): 1,
    }
    assert grown(before, after, "agentweave_svid_rotation_errors_total") == {labels(agent="support-bot"): 1}
    assert 150 < after[key("agentweave_svid_ttl_seconds", agent="support-bot")] <= 200
