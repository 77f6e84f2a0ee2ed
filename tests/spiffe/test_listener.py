"""The mutual-TLS listener: who comes with an X.509-SVID of an agent is that agent, and nobody else comes in."""

import ssl
import time
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from agents.models import Agent
from audit.ids import read_id
from audit.models import Event
from tests.factories import an_agent, an_organization
from tests.gateway.conftest import World, tiers
from tests.spiffe.conftest import CALLER, Listener, Trust

pytestmark = pytest.mark.django_db(transaction=True)
BODY = {"agent_id": "support-bot", "action": "email.send"}


def refused(listener: Listener, client: httpx.Client) -> bool:
    """Whether TLS itself sends this client away."""
    with client, pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
        client.post("/sdk/check", json=BODY)
    return True


def test_an_agent_with_its_svid_needs_no_key(listener: Listener, trusted: Trust, acme: World) -> None:
    with listener.client(trusted.ours.x509(CALLER)) as client:
        answer = client.post("/sdk/check", json=BODY).json()
        assert answer["allowed"] is True
        event = Event.objects.get(id=read_id("evt", answer["audit"]["event_id"]))
        assert (event.agent, event.actor_id) == ("support-bot", str(acme.bot.id))
        assert event.data["environment"] == "production"  # as its SPIFFE ID ends
        said = client.get("/sdk/whoami").json()
        assert (said["agent_id"], said["mode"]) == ("support-bot", "live")
        asked = client.post("/v1/data/agentweave/authz", json={"input": {"caller_spiffe_id": CALLER, **BODY}}).json()
        assert asked["result"]["allow"] is True


def test_it_speaks_for_itself_alone(listener: Listener, trusted: Trust, acme: World) -> None:
    an_agent(acme.acme, "other-bot", spiffe_id="spiffe://example.com/agent/other/production")
    with listener.client(trusted.ours.x509(CALLER)) as client:
        assert client.post("/sdk/check", json=BODY | {"agent_id": "other-bot"}).status_code == 403
        given = {"caller_spiffe_id": "spiffe://example.com/agent/other/production", "action": "email.send"}
        answer = client.post("/v1/data/agentweave/authz", json={"input": given}).json()
        assert answer["result"]["policy_id"] == "unknown_caller"


def test_tls_1_2_is_refused(listener: Listener, trusted: Trust) -> None:
    svid = trusted.ours.x509(CALLER)
    assert refused(listener, listener.client(svid, most=ssl.TLSVersion.TLSv1_2))


def test_who_shows_no_certificate_is_refused(listener: Listener) -> None:
    assert refused(listener, listener.client())


def test_a_foreign_trust_domain_is_refused(listener: Listener, trusted: Trust) -> None:
    assert refused(listener, listener.client(trusted.stranger.x509("spiffe://stranger.example/agent/x/production")))
    assert refused(listener, listener.client(trusted.stranger.x509(CALLER)))


def test_an_expired_svid_is_refused(listener: Listener, trusted: Trust) -> None:
    assert refused(listener, listener.client(trusted.ours.x509(CALLER, ttl=timedelta(minutes=-1))))


def test_a_trusted_domain_signs_for_no_other(listener: Listener, trusted: Trust, acme: World) -> None:
    with listener.client(trusted.partner.x509(CALLER)) as client:
        answer = client.post("/sdk/check", json=BODY)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "allowed" not in answer.json()


@pytest.mark.parametrize(
    "ids",
    [
        [CALLER, "spiffe://example.com/agent/other/production"],
        ["https://example.com/agent"],
        ["spiffe://example.com"],
        [],
    ],
)
def test_a_certificate_names_exactly_one_workload(
    listener: Listener, trusted: Trust, acme: World, ids: list[str]
) -> None:
    with listener.client(trusted.ours.x509(ids, dns=["localhost"])) as client:
        assert client.post("/sdk/check", json=BODY).status_code == 401


def test_an_authoritys_certificate_is_no_svid(listener: Listener, trusted: Trust, acme: World) -> None:
    svid = trusted.ours.x509(CALLER, authority=True)
    try:
        with listener.client(svid) as client:
            assert client.post("/sdk/check", json=BODY).status_code == 401
    except httpx.TransportError:
        pass  # OpenSSL was first


def test_a_workload_that_is_no_agent_is_refused(listener: Listener, trusted: Trust, acme: World) -> None:
    with listener.client(trusted.ours.x509("spiffe://example.com/agent/unknown/production")) as client:
        answer = client.post("/sdk/check", json=BODY)
        assert (answer.status_code, answer.json()["detail"]) == (
            401,
            "No agent here has this SPIFFE ID, or it is banned",
        )


def test_the_same_name_in_another_organization_is_never_meant(listener: Listener, trusted: Trust, acme: World) -> None:
    globex = an_organization("Globex")
    type(globex).objects.filter(pk=globex.pk).update(slug="globex")
    foreign = an_agent(globex, "support-bot", spiffe_id=CALLER)
    tiers(foreign)
    with listener.client(trusted.ours.x509(CALLER)) as client:
        answer = client.post("/sdk/check", json=BODY).json()
        assert Event.objects.get(id=read_id("evt", answer["audit"]["event_id"])).organization_id == acme.acme.id
    Agent.objects.filter(pk=acme.bot.pk).update(spiffe_id=None)
    with listener.client(trusted.ours.x509(CALLER)) as client:
        assert client.post("/sdk/check", json=BODY).status_code == 401


def test_a_ban_holds_on_the_next_request_of_an_open_connection(listener: Listener, trusted: Trust, acme: World) -> None:
    with listener.client(trusted.ours.x509(CALLER)) as client:
        assert client.post("/sdk/check", json=BODY).json()["allowed"] is True
        Agent.objects.filter(pk=acme.bot.pk).update(status="banned")
        answer = client.post("/sdk/check", json=BODY)
        assert answer.status_code == 401 or answer.json()["allowed"] is False


def test_an_open_connection_ends_with_its_svid(listener: Listener, trusted: Trust, acme: World) -> None:
    with listener.client(trusted.ours.x509(CALLER, ttl=timedelta(seconds=3))) as client:
        assert client.post("/sdk/check", json=BODY).json()["allowed"] is True
        time.sleep(3.5)
        assert client.post("/sdk/check", json=BODY).status_code == 401


def test_a_forwarded_certificate_or_a_key_does_not_change_who_asks(
    listener: Listener, trusted: Trust, acme: World
) -> None:
    other = trusted.ours.x509("spiffe://example.com/agent/unknown/production")
    forwarded = f'Cert="{quote(trusted.ours.x509(CALLER).chain.decode())}"'
    with listener.client(other) as client:
        for headers in ({"X-Forwarded-Client-Cert": forwarded}, {"X-API-Key": acme.key}):
            assert client.post("/sdk/check", json=BODY, headers=headers).status_code == 401


def test_people_do_not_come_in_here(listener: Listener, trusted: Trust, acme: World) -> None:
    with listener.client(trusted.ours.x509(CALLER)) as client:
        assert {client.get(path).status_code for path in ("/", "/accounts/login/", "/api/agents", "/metrics")} == {404}


def test_a_new_authority_is_trusted_and_an_old_one_refused_without_a_restart(
    listener: Listener, trusted: Trust, acme: World
) -> None:
    new = type(trusted.ours).new("example.com")
    file = trusted.folder / "example.com.json"
    file.write_bytes(new.bundle())
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with listener.client(new.x509(CALLER)) as client:
                    if client.post("/sdk/check", json=BODY).status_code == 200:
                        break
            except httpx.TransportError:
                time.sleep(0.2)
        else:
            raise AssertionError("the new authority was never trusted")
        with listener.client(trusted.ours.x509(CALLER)) as client:
            assert client.post("/sdk/check", json=BODY).status_code == 401
    finally:
        file.write_bytes(trusted.ours.bundle())
        time.sleep(2.5)
