"""Rows for tests, each with what matters said and the rest made up.

acme = an_organization()
ann = a_member(acme, "approver")
bot = an_agent(acme, owner=a_member(acme, "owner"))
waiting = an_approval(agent=bot, action="stripe.refund.large", amount="500.00", context={"customer_id": "cus_1"})
"""

import itertools
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.models import Membership, Organization, Team, User
from accounts.secrets import hash_secret, new_secret
from agents.models import Agent, ApiKey, ApprovalRule, Permission, Stop
from agents.models.key import PREFIXES
from approvals.digest import digest
from approvals.models import Approval
from audit.canonical import canonical
from audit.clock import database_now

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


def an_organization(name: str = "", **fields: Any) -> Organization:
    number = next(_numbers)
    return Organization.objects.create(slug=f"organization-{number}", name=name or f"Organization {number}", **fields)


def a_person(email: str = "", *, password: str | None = None, **fields: Any) -> User:
    """A person of no organization. Without a password (argon2 takes its time) `client.force_login` is the way in."""
    return User.objects.create_user(email or f"person-{next(_numbers)}@example.com", password, **fields)


def a_member(organization: Organization, role: str, email: str = "", **fields: Any) -> User:
    """A person with that role in the organization."""
    user = a_person(email or f"{role}-{next(_numbers)}@example.com", **fields)
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


def a_team(organization: Organization, *people: User) -> Team:
    number = next(_numbers)
    team = Team.objects.create(organization=organization, name=f"Team {number}", slug=f"team-{number}")
    team.members.set(Membership.objects.filter(organization=organization, user__in=people))
    return team


def an_agent(organization: Organization, slug: str = "", *, owner: User | Team | None = None, **fields: Any) -> Agent:
    slug = slug or f"bot-{next(_numbers)}"
    owners = {"owner_team": owner} if isinstance(owner, Team) else {"owner_user": owner}
    return Agent.objects.create(organization=organization, slug=slug, name=slug, **owners, **fields)


def a_key(
    organization: Organization, agent: Agent | None = None, *, mode: str = "live", **fields: Any
) -> tuple[ApiKey, str]:
    """A key, and the secret that was shown once."""
    secret = new_secret(PREFIXES[mode])
    key = ApiKey.objects.create(
        organization=organization,
        agent=agent,
        mode=mode,
        name=f"Key {next(_numbers)}",
        key_hash=hash_secret(secret),
        last4=secret[-4:],
        **fields,
    )
    return key, secret


def a_permission(agent: Agent, action: str, effect: str = "allow", **fields: Any) -> Permission:
    return Permission.objects.create(agent=agent, action=action, effect=effect, **fields)


def a_rule(organization: Organization, **fields: Any) -> ApprovalRule:
    return ApprovalRule.objects.create(organization=organization, name=f"Rule {next(_numbers)}", **fields)


def a_stop(organization: Organization, *, agent: Agent | None = None, pattern: str = "", **fields: Any) -> Stop:
    """A row of the kill switch, as if pulled now; what it holds is frozen by the next sweep."""
    given = {"reason": "odd refunds", "stopped_at": database_now(), "stopped_by_label": "ann@example.com"}
    return Stop.objects.create(organization=organization, agent=agent, pattern=pattern, **given | fields)


def an_approval(
    *,
    agent: Agent,
    action: str = "stripe.refund.large",
    context: dict[str, Any] | None = None,
    amount: str | None = None,
    currency: str = "USD",
    mode: str = "live",
    risk: str = "medium",
    rule: dict[str, Any] | None = None,
    requesters: Iterable[User] = (),
    minutes: float = 60,
    now: datetime | None = None,
    reasoning: str = "",
    **fields: Any,
) -> Approval:
    """A request that waits, made `now` (the database's clock) and due in `minutes`; it may lie in the past.

    `rule` changes the default rule: one approval or denial by an owner, admin or approver, a reason to deny.
    Pass `state`, `decided_at`, … for one that has ended.
    """
    now = now or database_now()
    asked = context if context is not None else {"customer_id": f"cus_{next(_numbers)}"}
    if amount is not None:
        asked = {"amount": amount, "currency": currency, **asked}
    permission: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "action": action,
        "effect": "ask",
        "max_amount": "1000",
        "currency": None,
        "environment": None,
        "condition": "",
        "callee": None,
        "risk": risk,
        "expires_at": None,
    }
    return Approval.objects.create(
        organization=agent.organization,
        mode=mode,
        agent=agent,
        agent_slug=agent.slug,
        key_id=uuid.uuid4(),
        requesters=[person.id for person in requesters],
        action=action,
        amount=None if amount is None else Decimal(amount),
        currency="" if amount is None else currency,
        risk=risk,
        context=canonical(asked),
        reasoning=reasoning,
        permission=canonical(permission),
        rule=ApprovalRule(organization=agent.organization, name="Default").snapshot() | (rule or {}),
        policy_version="0" * 32,
        created_at=now,
        expires_at=now + timedelta(minutes=minutes),
        digest=digest(
            organization_id=agent.organization_id,
            mode=mode,
            agent_id=agent.id,
            action=action,
            callee=None,
            environment=fields.get("environment", ""),
            context=asked,
            permission_id=permission["id"],
        ),
        **fields,
    )
