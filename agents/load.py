"""What the gateway and the simulator decide with: an organization's compiled policy, and what a request keeps of it."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Q

from accounts.models import Organization
from agents import models, policy
from agents.code.compiled import compile_state
from agents.code.state import State
from agents.keys import KeyFacts
from agents.models.privacy import EVERY
from agents.opa.gate import Gate
from agents.policy import Policy
from agents.policy.budgets import limits_of
from agents.policy.names import covers
from agents.spiffe import identities
from audit import sealing
from audit.canonical import canonical

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What a request keeps of its agent. `chain` are the people who may not decide: the owner."""

    id: uuid.UUID
    slug: str
    name: str
    chain: tuple[uuid.UUID, ...]
    max_pending: int
    spiffe_id: str = ""


@dataclass(frozen=True, slots=True)
class PermissionFacts:
    """What a request keeps of the tier that asked: `snapshot` is canonical JSON, `rule` the approval rule's."""

    snapshot: str
    rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """One organization as of one epoch."""

    organization_id: uuid.UUID
    slug: str
    cooldown_seconds: int
    claim_seconds: int
    policy: policy.Policy
    agents: Mapping[str, AgentFacts]  # by slug, by UUID text and by SPIFFE ID
    permissions: Mapping[str, PermissionFacts]
    authz_paths: frozenset[str]
    privacy: tuple[tuple[str, sealing.Rule], ...] = ()  # what is stored covered: patterns of actions, and where
    deny_when_late: bool = False  # high risk, while the record is not put in order
    gate: Gate | None = None  # an external OPA, which has to agree
    shadow: Policy | None = None  # asked beside the policy; what it says is recorded and never answered

    def covered(self, action: str) -> list[sealing.Rule]:
        """The rules for what an action's context holds."""
        return [rule for pattern, rule in self.privacy if pattern == EVERY or covers(pattern, action)]


def find_key(key_hash: bytes) -> KeyFacts | None:
    """The key with that SHA-256, of an agent that still is. Whether it is valid now is the caller's to judge."""
    return find_keys([key_hash]).get(key_hash)


def find_keys(key_hashes: Collection[bytes]) -> dict[bytes, KeyFacts]:
    """Those of these keys that there are, in one query; see find_key. Those that SVIDs stand for: see identities."""
    proved = [each for each in key_hashes if identities.is_proof(each)]
    found = identities.find(proved) if proved else {}
    if len(proved) == len(key_hashes):
        return found
    rows = models.ApiKey.objects.filter(key_hash__in=key_hashes).filter(Q(agent=None) | Q(agent__deleted_at=None))
    return found | {
        bytes(row.key_hash): KeyFacts(
            row.id,
            row.name,
            row.organization_id,
            row.agent_id,
            row.mode,  # type: ignore[arg-type]
            row.environment,
            frozenset(row.scopes),
            row.rate_limit,
            row.expires_at,
            row.created_by_id,
            row.revoked_at is not None,
        )
        for row in rows
    }


def permission_of(row: models.Permission) -> policy.Permission:
    """A row as the pure policy sees it."""
    return policy.Permission(
        id=str(row.id),
        action=row.action,
        effect=row.effect,  # type: ignore[arg-type]
        max_amount=row.max_amount,
        currency=row.currency or None,
        environment=row.environment or None,
        condition=row.condition,
        callee=row.callee or None,
        risk=row.risk,  # type: ignore[arg-type]
        approval_rule=str(row.approval_rule_id) if row.approval_rule_id else None,
        expires_at=row.expires_at,
        limits=limits_of(row.limits, row.currency),
    )


def agent_of(row: models.Agent) -> policy.Agent:
    """An agent with its permissions (prefetched) as the pure policy sees it."""
    return policy.Agent(
        id=str(row.id),
        slug=row.slug,
        status=row.status,  # type: ignore[arg-type]
        permissions=tuple(permission_of(permission) for permission in row.permissions.all()),
        spiffe_id=row.spiffe_id,
        limits=limits_of(row.limits, row.limit_currency),
    )


def _snapshot(permission: policy.Permission) -> str:
    return canonical(
        {
            "id": permission.id,
            "action": permission.action,
            "effect": permission.effect,
            "max_amount": None if permission.max_amount is None else format(permission.max_amount, "f"),
            "currency": permission.currency,
            "environment": permission.environment,
            "condition": permission.condition,
            "callee": permission.callee,
            "risk": permission.risk,
            "expires_at": permission.expires_at.isoformat() if permission.expires_at else None,
        }
    )


def load(organization_id: uuid.UUID) -> Loaded:
    """Everything that decides in one organization, compiled.

    Reads in one snapshot, except within a transaction of the caller's. Raises Organization.DoesNotExist.
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _load(organization_id)


def _load(organization_id: uuid.UUID) -> Loaded:
    organization = Organization.objects.get(id=organization_id)
    rows = list(
        models.Agent.objects.filter(organization=organization, deleted_at=None).prefetch_related(
            "permissions", "owner_team__members"
        )
    )
    rules = {str(rule.id): rule.snapshot() for rule in organization.approval_rules.all()}
    default = next((rule for rule in organization.approval_rules.all() if rule.is_default), None)
    default_rule = default.snapshot() if default else models.ApprovalRule(organization=organization).snapshot()
    agents = [agent_of(row) for row in rows]
    external = models.ExternalOpa.objects.filter(organization=organization).first()
    facts: dict[str, AgentFacts] = {}
    for row in rows:
        people = [row.owner_user_id] if row.owner_user_id else []
        if row.owner_team:
            people = [member.user_id for member in row.owner_team.members.all()]
        facts[row.slug] = facts[str(row.id)] = AgentFacts(
            row.id, row.slug, row.name, tuple(people), row.max_pending, row.spiffe_id or ""
        )
        if row.spiffe_id:
            facts[row.spiffe_id] = facts[row.slug]
    return Loaded(
        organization.id,
        organization.slug,
        organization.cooldown_seconds,
        organization.claim_seconds,
        policy.compile_policy(
            organization_id=str(organization.id),
            stops=[stop.facts for stop in organization.stops.filter(released_at=None)],
            environments=frozenset(organization.environments),
            banned=organization.banned_identities.values_list("spiffe_id", flat=True),
            agents=agents,
            external=external.facts.content if external else None,
        ),
        facts,
        {
            permission.id: PermissionFacts(
                _snapshot(permission), rules.get(permission.approval_rule or "", default_rule)
            )
            for agent in agents
            for permission in agent.permissions
        },
        frozenset(organization.authz_paths),
        tuple((row.action, row.sealing) for row in organization.privacy_rules.all()),
        organization.deny_when_late,
        external.facts if external else None,
        _shadow(organization),
    )


def _shadow(organization: Organization) -> policy.Policy | None:
    """The shadow, if one is set. One that cannot be compiled (any more) must not keep the policy from deciding."""
    row = models.ShadowPolicy.objects.filter(organization=organization).first()
    if row is None:
        return None
    try:
        return compile_state(organization, State(agents=row.state["agents"], tiers=row.state["tiers"]))
    except (ValueError, KeyError, TypeError, ArithmeticError):
        log.exception("policy.shadow_broken", organization=organization.slug)
        return None
