"""Who gets in, what a malformed request is told, and that no error says what is inside."""

import pytest
from django.db import OperationalError

from accounts.models import AccessToken, Membership
from audit.clock import database_now
from tests.api.conftest import Api, a_token
from tests.factories import a_key, a_member
from warden.api import agents as endpoints
from warden.api.endpoint import Endpoint
from warden.api.openapi import ENDPOINTS


def path_of(endpoint: Endpoint) -> str:
    return endpoint.path.format(**dict.fromkeys(endpoint.arguments, "x"))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation)
def test_nobody_without_a_token_gets_in(db, world, endpoint):
    status, answer = Api("")(endpoint.method, path_of(endpoint))
    assert status == 401
    assert "Authorization: Bearer wpat_" in answer["detail"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation)
def test_an_agents_key_never_gets_in(db, world, endpoint):
    for mode in ("live", "test"):
        _, secret = a_key(world.acme, world.bot, mode=mode)
        for api, headers in ((Api(secret), {}), (Api(""), {"X-API-Key": secret})):
            status, answer = api(endpoint.method, path_of(endpoint), **headers)
            assert status == 401
            assert "This is an agent's key" in answer["detail"]


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.scope], ids=lambda each: each.operation)
def test_each_endpoint_asks_for_its_scope_and_for_a_role_that_has_it(db, world, endpoint):
    person = a_member(world.acme, "owner")
    other = "agents:read" if endpoint.scope != "agents:read" else "logs:read"
    status, answer = Api(a_token(person, other))(endpoint.method, path_of(endpoint))
    assert (status, answer["detail"]) == (403, f"This token does not have the scope {endpoint.scope}")

    token = a_token(person, endpoint.scope)
    Membership.objects.filter(user=person).update(role="viewer")
    status, answer = Api(token)(endpoint.method, path_of(endpoint))
    if endpoint.scope in ("agents:read", "approvals:read"):
        assert status != 403
    else:
        assert (status, answer["detail"]) == (403, f"Your role, viewer, does not include {endpoint.scope}")


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.arguments], ids=lambda each: each.operation)
def test_what_is_not_there_is_not_found(db, world, owner, endpoint):
    for name in ("x", "apr_" + "0" * 26, "0" * 36, "%00", "..", "%F0%9F%98%80"):
        path = endpoint.path.format(**dict.fromkeys(endpoint.arguments, name))
        bodies = {
            "change_member": {"role": "viewer"},
            "create_permission": {"action": "a.b"},
            "comment_on_approval": {"text": "a"},
            "ask_release": {"reason": "x"},
            "decide_review_item": {"verdict": "keep"},
            "accept_proposal": {"digest": "0" * 64},
            "reject_proposal": {"reason": "x"},
            "sign_broken_glass": {"verdict": "justified", "note": "x"},
            "move_stream": {"log": "live", "index": 0},
        }
        status, answer = owner(endpoint.method, path, bodies.get(endpoint.operation))
        assert status == 404, (path, answer)
        assert "not found" in answer["detail"].lower()


def test_tokens_that_ended_open_nothing(db, world, owner):
    assert owner("GET", "agents", status=200)
    token = AccessToken.objects.get()
    for change in ({"expires_at": database_now()}, {"revoked_at": database_now()}):
        AccessToken.objects.update(expires_at=None, revoked_at=None)
        AccessToken.objects.update(**change)
        assert (
            owner("GET", "agents", status=401)["detail"] == "This access token is unknown, has expired or was revoked"
        )
    AccessToken.objects.update(expires_at=None, revoked_at=None)
    assert owner("GET", "agents", status=200)
    token.user.is_active = False
    token.user.save(update_fields=["is_active"])
    owner("GET", "agents", status=401)
    token.user.is_active = True
    token.user.save(update_fields=["is_active"])
    Membership.objects.all().delete()
    owner("GET", "agents", status=401)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "wpat_x", "Bearer wpat_x", "Bearer é", "bearer \x7f"]
)
def test_odd_credentials_are_401_and_say_how(db, header):
    status, answer = Api("")("GET", "agents", Authorization=header)
    assert status == 401
    assert "token" in answer["detail"]


def test_a_session_opens_nothing_here(db, world):
    api = Api("")
    api.client.force_login(a_member(world.acme, "owner"), backend="allauth.account.auth_backends.AuthenticationBackend")
    assert api("GET", "agents", status=401)


def test_addresses_and_methods_that_do_not_exist(db, owner):
    response = owner.client.get("/api/nothing/here")
    assert response.status_code == 404
    assert response.json()["detail"].startswith("Not found")
    response = owner.client.patch("/api/agents")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, POST")
    assert owner.client.head("/api/agents", headers={"Authorization": f"Bearer {owner.token}"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "Object missing required field `name`"),
        (b"{", "The body is not JSON"),
        (b"\xff", "The body is not UTF-8"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"name": "A", "name": "B"}', "The key 'name' stands twice"),
        (b'{"name": "A", "nmae": "B"}', "unknown field `nmae`"),
        (b'{"name": 5}', "name: Expected `str`, got `int`"),
        (b'{"name": NaN}', "NaN is not JSON"),
        (b'{"name": "\\ud800"}', "half of a surrogate pair"),
        (b'{"name": "a\\u0000b"}', "name: Expected `str` matching regex"),
        (b'{"name": "A", "slug": "Not A Slug"}', "slug: Use lower-case letters, digits and hyphens."),
        (b'{"name": "A", "owner_email": "x@example.com"}', "owner_email: x@example.com is no member"),
        (b'{"name": "A", "owner_email": "x@y", "owner_team": "z"}', "owner_team: an agent has one owner"),
        (b'{"name": "A", "owner_team": "z"}', "owner_team: there is no team z"),
        (b'{"name": ""}', "name: This field cannot be blank."),
        (b"[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_a_body_that_is_wrong_is_told_where(db, owner, body, detail):
    assert detail in owner("POST", "agents", body, status=422)["detail"]


def test_a_body_that_is_too_large_is_413(db, owner, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    assert owner("POST", "agents", b"x" * 1_001, status=413) == {"detail": "The body is too large"}


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("logs?action=a%00b", "action: holds U+0000"),
        ("logs?limit=0", "limit: Expected `int` >= 1"),
        ("logs?limit=101", "limit: Expected `int` <= 100"),
        ("logs?limit=x", "limit: Expected `int`"),
        ("logs?offset=10001", "offset: Expected `int` <= 10000"),
        ("logs?limit=1&limit=2", "limit: given twice"),
        ("logs?lmit=1", "unknown field `lmit`"),
        ("logs?created_after=yesterday", "created_after: Invalid RFC3339"),
        ("logs?created_after=2026-01-01T00:00:00", "created_after: Expected `datetime` with a timezone"),
        ("logs?mode=both", "mode: Invalid enum value 'both'"),
        ("logs?after=x", "after: not an id such as log_01J…"),
        ("organization?x=1", "x: this address takes no query"),
        ("approvals?status=open", "status: Invalid enum value 'open'"),
    ],
)
def test_a_query_that_is_wrong_is_told_where(db, owner, path, detail):
    assert detail in owner("GET", path, status=422)["detail"]


def test_a_mistake_of_ours_says_nothing_of_what_is_inside(db, owner, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret: ak_0000")

    monkeypatch.setattr(endpoints.services, "create_agent", broken)
    status, answer = owner("POST", "agents", {"name": "A"})
    assert (status, answer) == (500, {"detail": "Something went wrong here. The request id leads to the log."})

    def away(*_: object, **__: object) -> None:
        raise OperationalError("could not connect to 10.0.0.1")

    monkeypatch.setattr(endpoints.services, "create_agent", away)
    status, answer = owner("POST", "agents", {"name": "A"})
    assert status == 503
    assert "10.0.0.1" not in answer["detail"]
