"""An organization with the tiers everybody knows, keys for its agents, and a way to speak to the server."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.models import Membership, Organization, User
from accounts.secrets import hash_secret, new_secret
from agents.models import Agent, ApiKey, Permission
from agents.models.key import PREFIXES
from approvals.models import Approval
from approvals.rules import Verdict
from approvals.services import review
from audit.ids import read_id
from tests.server import Server


def make_key(organization: Organization, *, mode: str = "live", agent: Agent | None = None, **fields: Any) -> str:
    """A key in the database; returns its secret."""
    secret = new_secret(PREFIXES[mode])
    fields = {"name": "a key", "created_by": None} | fields
    ApiKey.objects.create(
        organization=organization, mode=mode, agent=agent, key_hash=hash_secret(secret), last4=secret[-4:], **fields
    )
    return secret


@dataclass
class World:
    server: Server
    acme: Organization
    owner: User
    approver: User
    colleague: User
    bot: Agent
    key: str
    test_key: str
    client: httpx.Client = field(repr=False)

    def post(self, path: str, body: Any, key: str | None = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, json=body, headers={"X-API-Key": key or self.key, **named})

    def get(self, path: str, key: str | None = None, timeout: float = 40) -> httpx.Response:
        return self.client.get(path, headers={"X-API-Key": key or self.key}, timeout=timeout)

    def check(self, action: str, context: Any = None, *, key: str | None = None, **more: Any) -> dict[str, Any]:
        body = {"agent_id": "support-bot", "action": action, "context": context, **more}
        response = self.post("/sdk/check", body, key)
        assert response.status_code == 200, response.text
        return response.json()

    def pending(self, amount: float = 500, **more: Any) -> dict[str, Any]:
        """A request that waits: a fresh one each time."""
        answer = self.check("stripe.refund", {"amount": amount, "order": uuid.uuid4().hex}, **more)
        assert answer["status"] == "pending"
        return answer

    def approval(self, approval_id: str) -> Approval:
        found = read_id("apr", approval_id)
        assert found, approval_id
        return Approval.objects.get(id=found)

    def decide(
        self, approval_id: str, verdict: Verdict = "approve", by: User | None = None, reason: str = "fine"
    ) -> None:
        approval = self.approval(approval_id)
        review(
            approval_id=approval.id,
            by=by or self.approver,
            organization=self.acme,
            verdict=verdict,
            reason=reason,
            digest=approval.digest,
            via="browser",
        )


def people(organization: Organization, *roles: str) -> list[User]:
    made = []
    for role in roles:
        user = User.objects.create_user(f"{role}-{uuid.uuid4().hex[:6]}@{organization.slug}.example")
        Membership.objects.create(organization=organization, user=user, role=role)
        made.append(user)
    return made


def tiers(agent: Agent) -> None:
    rungs = [("small", 50, "allow"), ("medium", 200, "allow"), ("large", 1000, "ask")]
    for name, maximum, effect in rungs:
        Permission.objects.create(
            agent=agent, action=f"stripe.refund.{name}", effect=effect, max_amount=Decimal(maximum), currency="USD"
        )
    Permission.objects.create(agent=agent, action="email.send", effect="allow")
    Permission.objects.create(agent=agent, action="deploy.production", effect="ask", risk="high")
    Permission.objects.create(agent=agent, action="database.drop", effect="deny")


def make_world(server: Server, client: httpx.Client, slug: str = "acme") -> World:
    """An organization of that slug, alike to every other made here."""
    organization = Organization.objects.create(slug=slug, name=slug.title())
    owner, approver, colleague = people(organization, "owner", "approver", "approver")
    bot = Agent.objects.create(
        organization=organization, slug="support-bot", name="Support bot", owner_user=owner, max_pending=10_000
    )
    tiers(bot)
    return World(
        server,
        organization,
        owner,
        approver,
        colleague,
        bot,
        make_key(organization, agent=bot),
        make_key(organization, mode="test"),
        client,
    )


@pytest.fixture
def world(server: Server) -> Iterator[World]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield make_world(server, client)
