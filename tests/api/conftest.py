"""An organization with people in roles, each with a token that holds all their role may, and a stranger's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from accounts.models import SCOPES, Membership, Organization, User
from accounts.roles import may
from accounts.services import tokens
from tests.factories import a_member, an_agent, an_organization


class Api:
    """A script with one token. Every answer is checked for what all answers have."""

    def __init__(self, token: str, person: User | None = None) -> None:
        self.token, self.person, self.client = token, person, Client()

    def __call__(self, method: str, path: str, body: Any = None, status: int | None = None, **headers: str) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        response = self.client.generic(
            method, f"/api/{path}", content, content_type="application/json", headers=given | headers
        )
        assert response.headers["X-Request-ID"]
        assert response.headers["Cache-Control"] == "no-store"
        if status is not None:
            assert response.status_code == status, response.content
        if response.status_code == 204:
            assert response.content == b""
            return None
        answer = json.loads(response.content)
        if response.status_code >= 400:
            assert set(answer) <= {"detail", "code"}
            assert isinstance(answer["detail"], str)
        return answer if status is not None else (response.status_code, answer)


def a_token(person: User, *scopes: str) -> str:
    member = Membership.objects.get(user=person)
    held = scopes or [scope for scope in SCOPES if may(member.role, scope)]
    _, raw = tokens.create(member=member, name="script", scopes=held, days=None, by=member)
    return raw


@dataclass
class World:
    acme: Organization
    bot: Any
    api: Callable[..., Api]

    def person(self, role: str) -> Api:
        person = a_member(self.acme, role)
        return Api(a_token(person), person)


@pytest.fixture
def world(db: None) -> World:
    acme = an_organization("Acme")
    return World(acme, an_agent(acme, "support-bot"), Api)


@pytest.fixture
def owner(world: World) -> Api:
    return world.person("owner")


@pytest.fixture
def approver(world: World) -> Api:
    return world.person("approver")


@pytest.fixture
def viewer(world: World) -> Api:
    return world.person("viewer")


@pytest.fixture
def stranger(db: None) -> Api:
    """The owner of another organization."""
    person = a_member(an_organization("Other"), "owner")
    return Api(a_token(person), person)
