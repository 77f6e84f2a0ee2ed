"""What a review of permissions has to look at: what is too broad, unused, overlapping, missing or forgotten."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import connection
from django.db.models import Prefetch, Q

from accounts.models import Organization
from agents import policy
from agents.load import agent_of, permission_of
from agents.models import Agent, ApiKey, Permission
from agents.models.permission import ORDER
from agents.outlook import Staff
from agents.wanted import wanted
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
    suggestion: Mapping[str, str] | None = None  # the fields of a tier that would settle it


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


def review(organization: Organization, agent: Agent | None = None) -> list[Finding]:
    """Everything that needs attention, of one agent or of all, agent by agent; deleted agents are left out."""
    now = database_now()
    agents = Agent.objects.filter(organization=organization, deleted_at=None).order_by("slug")
    if agent is not None:
        agents = agents.filter(pk=agent.pk)
    tiers = Permission.objects.select_related("agent", "approval_rule").order_by("agent__slug", *ORDER)
    agents = agents.select_related("owner_user", "owner_team")
    rows = list(agents.prefetch_related(Prefetch("permissions", tiers), "owner_team__members"))
    uses = last_uses(organization, [tier for row in rows for tier in row.permissions.all()])
    members = set(organization.memberships.values_list("user_id", flat=True))
    staff, default = Staff(organization), organization.approval_rules.filter(is_default=True).first()
    found: list[Finding] = []
    for row in rows:
        overlapping = {each.permission.id: each.text for each in policy.overlaps(agent_of(row))}
        for tier in row.permissions.all():
            found += _of_permission(tier, uses.get(tier), overlapping.get(str(tier.pk), ""), now)
            rule = tier.approval_rule or default
            if tier.effect == "ask" and rule and staff.is_stuck_for(rule, row):
                words = f"Nobody could approve what it asks as people are now, by the rule “{rule.name}”."
                found.append(Finding("nobody_decides", words, row, tier))
        found += _of_agent(row, members, now)
    slugs = {row.slug: row for row in rows}
    for each in wanted(organization, since=now - UNUSED, now=now):
        if each.agent in slugs:
            text = f"{each.action}: {each.text}"
            found.append(Finding("denied_but_wanted", text, slugs[each.agent], suggestion=each.suggestion))
    keys = ApiKey.objects.filter(organization=organization, revoked_at=None).select_related("agent")
    if agent is not None:
        keys = keys.filter(agent=agent)
    for key in keys.filter(Q(expires_at=None) | Q(expires_at__gt=now)).filter(
        Q(agent=None) | Q(agent__deleted_at=None)
    ):
        found += _of_key(key, now)
    return found


def _of_permission(row: Permission, use: Use | None, overlapping: str, now: datetime) -> Iterable[Finding]:
    if row.expires_at and row.expires_at <= now:
        yield Finding("expired", "Has expired: delete it, or give it another term.", row.agent, row)
        return
    for flag in policy.review_flags(permission_of(row)):
        yield Finding(flag.code, f"{flag.text}.", row.agent, row)
    if overlapping:  # it cannot be used either, and that is said by this
        yield Finding("overlap", f"{overlapping}.", row.agent, row)
        return
    if use is None or row.effect == "deny" or row.created_at > now - NEW:
        return
    if use.at is None and use.known_since is None:
        yield Finding("never_used", "Never used.", row.agent, row)
    elif max(each for each in (use.at, use.known_since) if each) < now - UNUSED:
        yield Finding("unused", f"Not used for {UNUSED.days} days.", row.agent, row)


def _of_agent(agent: Agent, members: set[uuid.UUID], now: datetime) -> Iterable[Finding]:
    if due(agent) < now:
        yield Finding("not_audited", f"Not audited for {AUDIT.days} days.", agent)
    if agent.spiffe_id and urlsplit(agent.spiffe_id).path.count("/") < 2:
        text = f"{agent.spiffe_id} may be anyone: use the form /agent/role/environment."
        yield Finding("generic_identity", text, agent)
    if not agent.purpose.strip():
        yield Finding("no_purpose", "Nobody wrote what it is for.", agent)
    if agent.owner is None:
        yield Finding("no_owner", "Nobody owns it.", agent)
    if not agent.notes.strip():
        yield Finding("no_notes", "It has no notes: who is asked, what to know.", agent)
    if agent.owner_user_id and agent.owner_user_id not in members:
        yield Finding("owner_left", "Its owner has left the organization.", agent)


def _of_key(key: ApiKey, now: datetime) -> Iterable[Finding]:
    named = f"The key “{key.name}” ({key.shown})"
    if key.created_at < now - KEY_AGE:
        yield Finding("old_key", f"{named} is older than {KEY_AGE.days} days: roll it.", key.agent, key=key)
    if key.last_used_at is None and key.created_at < now - NEW:
        yield Finding("unused_key", f"{named} was never used: revoke it.", key.agent, key=key)


def due(agent: Agent) -> datetime:
    """When its next review is due: a quarter after the last one, or after it was made."""
    return (agent.last_audited_at or agent.created_at) + AUDIT
