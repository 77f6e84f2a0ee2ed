"""A policy that is not in force, asked what agents really asked: what would have been decided otherwise."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from accounts.models import Organization
from agents import policy
from audit import queries
from audit.models import Event
from audit.sealing import is_marked

PAGE = 1_000  # events at once
EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Difference:
    """One check that would have come to something else."""

    event_id: str
    at: datetime
    agent: str
    action: str
    was: str
    would: str
    reason: str
    permission: str


@dataclass(slots=True)
class Replay:
    """What was looked at so far. `next` is where to go on, or None at the end."""

    looked_at: int = 0
    skipped: int = 0  # what says nothing of its context: waiting again, or too long ago
    differs: int = 0
    groups: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    examples: list[Difference] = field(default_factory=list)
    next: str | None = None


def replay(
    organization: Organization,
    compiled: policy.Policy,
    *,
    since: datetime,
    after: uuid.UUID | None = None,
    most: int = PAGE,
) -> Replay:
    """Decides up to `most` live checks since then, newest first, each at its own time, and compares with what was
    answered. Go on with `after` where `next` says. Nothing is recorded.
    """
    found = Replay()
    search = queries.Search(mode="live", kind="agent:check", since=since)
    while found.looked_at + found.skipped < most:
        page = queries.find(organization.pk, search, after=after, size=min(PAGE, most), whole=True)
        for event in page.events:
            _look(found, compiled, event)
        found.next = page.next_cursor
        if found.next is None:
            return found
        after = page.events[-1].id
    return found


def _look(found: Replay, compiled: policy.Policy, event: Event) -> None:
    data = event.data
    context = data.get("context")
    if is_marked(event.body):  # what the policy judged is not there any more, or only for who decides
        found.skipped += 1
        return
    if not isinstance(context, dict) or not event.agent or event.result not in ("allow", "ask", "deny"):
        found.skipped += 1
        return
    found.looked_at += 1
    request = policy.Request(
        event.agent, event.action, context, data.get("environment") or None, data.get("callee") or None
    )
    decision = policy.decide(compiled, request, event.at)
    if decision.outcome == event.result:
        return
    found.differs += 1
    found.groups[event.agent, event.action, event.result, decision.outcome] += 1
    if len(found.examples) < EXAMPLES:
        found.examples.append(
            Difference(
                event.event_id,
                event.at,
                event.agent,
                event.action,
                event.result,
                decision.outcome,
                decision.reason,
                decision.permission.action if decision.permission else "",
            )
        )
