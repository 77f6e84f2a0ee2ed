"""Acme with people in every role, a stranger from elsewhere, and a bot that its owner owns."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.test import Client

from accounts.models import Organization, User
from agents.models import Agent
from tests import factories
from tests.approvals.browsing import BACKEND, browser, desk

__all__ = ["browser", "desk"]  # fixtures


@dataclass
class Acme:
    organization: Organization
    owner: User
    admin: User
    approver: User
    colleague: User
    auditor: User
    viewer: User
    stranger: User
    bot: Agent


def make_acme() -> Acme:
    organization = factories.an_organization()
    owner = factories.a_member(organization, "owner")
    return Acme(
        organization=organization,
        owner=owner,
        admin=factories.a_member(organization, "admin"),
        approver=factories.a_member(organization, "approver"),
        colleague=factories.a_member(organization, "approver"),
        auditor=factories.a_member(organization, "auditor"),
        viewer=factories.a_member(organization, "viewer"),
        stranger=factories.a_member(factories.an_organization(), "owner"),
        bot=factories.an_agent(organization, "support-bot", owner=owner),
    )


@pytest.fixture
def acme(db: None) -> Acme:
    return make_acme()


@pytest.fixture
def enter(client: Client) -> Callable[[User], Client]:
    """Logs somebody in: `enter(acme.approver).get(…)`."""

    def log_in(user: User, mode: str = "live") -> Client:
        client.force_login(user, backend=BACKEND)
        session = client.session
        session["mode"] = mode
        session.save()
        return client

    return log_in
