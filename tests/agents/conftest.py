"""An organization with people in roles, a stranger from another one, and an agent that somebody owns."""

from dataclasses import dataclass

import pytest
from django.test import Client

from accounts.models import Membership, Organization, User
from agents.models import Agent, ApprovalRule
from agents.services.agents import create_agent
from agents.services.rules import create_rule


@dataclass
class People:
    owner: User
    admin: User
    approver: User
    auditor: User
    viewer: User
    stranger: User


def member(organization: Organization, role: str) -> User:
    user = User.objects.create_user(f"{role}@{organization.slug}.example")
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


@pytest.fixture
def acme(db: None) -> Organization:
    return Organization.objects.create(slug="acme", name="Acme")


@pytest.fixture
def other(db: None) -> Organization:
    return Organization.objects.create(slug="other", name="Other")


@pytest.fixture
def people(acme: Organization, other: Organization) -> People:
    roles = ("owner", "admin", "approver", "auditor", "viewer")
    return People(*(member(acme, role) for role in roles), stranger=member(other, "owner"))


@pytest.fixture
def standard(acme: Organization, people: People) -> ApprovalRule:
    existing = ApprovalRule.objects.filter(organization=acme, is_default=True).first()
    return existing or create_rule(organization=acme, by=people.owner, name="Standard")


@pytest.fixture
def bot(acme: Organization, people: People) -> Agent:
    return create_agent(
        organization=acme,
        by=people.owner,
        name="Support bot",
        owner_user=people.owner,
        purpose="Answers customers",
        notes="Large refunds go to finance.",
    )


@pytest.fixture
def enter(client: Client):
    """Logs a person in: `enter(people.admin).get(…)`."""

    def log_in(user: User) -> Client:
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return log_in
