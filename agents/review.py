"""The review of permissions: what is too broad, unused, expired or forgotten."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import connection
from django.db.models import Q

from accounts.models import Organization
from agents import policy
from agents.load import permission_of
from agents.models import Agent, ApiKey, Permission
from agents.models.permission import ORDER
from audit.clock import database_now

UNUSED = KEY_AGE = AUDIT = timedelta(days=90)
NEW = timedelta(days=7)  # what is newer may well be unused
LOOKED_AT = 1_000  # checks of one action; beyond them "never used" cannot be said cheaply, so it is not said

# For each (agent, tier, action): when a live check of the action by the agent last came to the tier, and how far back
# was looked: nothing, if to the beginning. The newest match ends a scan, so that a tier in use costs one row.
LAST_USES = """
SELECT wanted.number, used.at, CASE WHEN used.at IS NULL THEN (
    SELECT at FROM audit_event
    WHERE organization_id = %(organization)s AND mode = 'live' AND action = wanted.action AND action <> ''
    ORDER BY at DESC, id DESC OFFSET %(limit)s LIMIT 1
) END
FROM unnest(%(agents)s::text[], %(tiers)s::text[], %(actions)s::text[])
    WITH ORDINALITY AS wanted(agent, tier, action, number)
LEFT JOIN LATERAL (
    SELECT at FROM (
        SELECT at, kind, agent, body FROM audit_event
        WHERE organization_id = %(organization)s AND mode = 'live' AND action = wanted.action AND action <> ''
        ORDER BY at DESC, id DESC LIMIT %(limit)s
    ) AS recent
    WHERE agent = wanted.agent AND kind LIKE 'agent:check:%%'
        AND position('"permission":"' || wanted.tier || '"' IN body) > 0
    LIMIT 1
) AS used ON true
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `code` is a word for scripts."""

    code: str
    text: str
    agent: Agent | None
    permission: Permission | None = None
    key: ApiKey | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """When a tier was last used, as far as is known: not after `known_since`, unless at `at`; None: since ever."""

    at: datetime | None
    known_since: datetime | None


def last_uses(organization: Organization, permissions: Iterable[Permission]) -> dict[Permission, Use]:
    """When each tier last answered a live check. Wildcards are left out: they are to be replaced anyway."""
    wanted: list[tuple[Permission, str]] = []
    for row in permissions:
        if policy.is_wildcard(row.action):
            continue
        wanted.append((row, row.action))
        base = row.action.rpartition(".")[0]
        if policy.is_action(base):  # a check of the base action may have been routed to the tier
            wanted.append((row, base))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            LAST_USES,
            {
                "organization": organization.pk,
                "agents": [row.agent.slug for row, _ in wanted],
                "tiers": [row.action for row, _ in wanted],
                "actions": [action for _, action in wanted],
                "limit": LOOKED_AT,
            },
        )
        rows = cursor.fetchall()
    found: dict[Permission, Use] = {}
    for number, at, known_since in rows:
        row = wanted[number - 1][0]
        before = found.get(row, Use(None, None))
        times = [each for each in (before.at, at) if each]
        limits = [each for each in (before.known_since, known_since) if each]
        found[row] = Use(max(times, default=None), max(limits, default=None))
    return found


def review(organization: Organization) -> list[Finding]:
    """Everything that needs attention in one organization, agent by agent; deleted agents are left out."""
    now = database_now()
    permissions = list(
        Permission.objects.select_related("agent")
        .filter(agent__organization=organization, agent__deleted_at=None)
        .order_by("agent__slug", *ORDER)
    )
    uses = last_uses(organization, permissions)
    found = [finding for row in permissions for finding in _of_permission(row, uses.get(row), now)]
    members = set(organization.memberships.values_list("user_id", flat=True))
    for agent in Agent.objects.filter(organization=organization, deleted_at=None).select_related(
        "owner_user", "owner_team"
    ):
        found += _of_agent(agent, now)
        if agent.owner_user_id and agent.owner_user_id not in members:
            found.append(Finding("owner_left", "Its owner has left the organization.", agent))
    keys = ApiKey.objects.filter(organization=organization, revoked_at=None).select_related("agent")
    for key in keys.filter(Q(expires_at=None) | Q(expires_at__gt=now), created_at__lt=now - KEY_AGE):
        text = f"The key “{key.name}” ({key.shown}) is older than {KEY_AGE.days} days: roll it."
        found.append(Finding("old_key", text, key.agent, key=key))
    return found


def _of_permission(row: Permission, use: Use | None, now: datetime) -> Iterable[Finding]:
    if row.expires_at and row.expires_at <= now:
        yield Finding("expired", "Has expired: delete it, or give it another term.", row.agent, row)
        return
    for flag in policy.review_flags(permission_of(row)):
        yield Finding(flag.code, f"{flag.text}.", row.agent, row)
    if use is None or row.effect == "deny" or row.created_at > now - NEW:
        return
    if use.at is None and use.known_since is None:
        yield Finding("never_used", "Never used.", row.agent, row)
    elif max(each for each in (use.at, use.known_since) if each) < now - UNUSED:
        yield Finding("unused", f"Not used for {UNUSED.days} days.", row.agent, row)


def _of_agent(agent: Agent, now: datetime) -> Iterable[Finding]:
    if (agent.last_audited_at or agent.created_at) < now - AUDIT:
        yield Finding("not_audited", f"Not audited for {AUDIT.days} days.", agent)
    if agent.spiffe_id and urlsplit(agent.spiffe_id).path.count("/") < 2:
        text = f"{agent.spiffe_id} may be anyone: use the form /agent/role/environment."
        yield Finding("generic_identity", text, agent)
    if agent.owner is None:
        yield Finding("no_owner", "Nobody owns it.", agent)
