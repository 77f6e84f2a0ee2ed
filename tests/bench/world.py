"""What the measurements run on: a durable PostgreSQL, a Valkey, an organization with an agent."""

from decimal import Decimal

from accounts.models import Membership, Organization, User
from accounts.secrets import hash_secret, new_secret
from agents.models import Agent, ApiKey, ApprovalRule, Permission


def make() -> tuple[Organization, Agent, str, User]:
    """An organization, its agent with the usual tiers and a few more, a live key, and somebody who may decide."""
    organization = Organization.objects.create(slug="bench", name="Bench")
    owner = User.objects.create_user("owner@bench.example", "a bench needs no secret")
    person = User.objects.create_user("approver@bench.example", "a bench needs no secret")
    Membership.objects.create(organization=organization, user=owner, role="owner")
    Membership.objects.create(organization=organization, user=person, role="approver")
    ApprovalRule.objects.get_or_create(organization=organization, is_default=True, defaults={"name": "Standard"})
    agent = Agent.objects.create(
        organization=organization, slug="support-bot", name="Support bot", owner_user=owner, max_pending=100_000
    )
    for name, maximum, effect in [("small", 50, "allow"), ("medium", 200, "allow"), ("large", 1000, "ask")]:
        Permission.objects.create(
            agent=agent, action=f"stripe.refund.{name}", effect=effect, max_amount=Decimal(maximum), currency="USD"
        )
    for number in range(12):
        Permission.objects.create(agent=agent, action=f"service.resource{number}.read", effect="allow")
    secret = new_secret("ak_")
    ApiKey.objects.create(
        organization=organization,
        agent=agent,
        mode="live",
        name="bench",
        key_hash=hash_secret(secret),
        last4=secret[-4:],
        created_by=owner,
    )
    return organization, agent, secret, person


def context(amount: float) -> dict[str, object]:
    """What a refund agent says: comparable to the guide's rich context."""
    return {
        "amount": amount,
        "customer_id": "cus_ABC123",
        "order_id": "UNIQUE",
        "order_date": "2024-02-15",
        "reason": "defective_product",
        "ticket_id": "SUPPORT-12345",
        "agent_version": "v2.1.0",
    }
