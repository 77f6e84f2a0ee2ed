"""Shadow mode: a policy that is asked whatever agents ask, and whose answers nobody gets."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from agents.code.reading import File
from agents.models import ShadowPolicy
from agents.services.by import Who, check, person
from agents.services.policy import proposed
from agents.services.writing import write_event
from audit import queries
from audit.clock import database_now
from audit.models import Event

LOOKED_AT = 5_000  # checks, the newest
PAGE = 1_000
EXAMPLES = 50


@transaction.atomic
def set_shadow(*, organization: Organization, by: Who, files: Iterable[File], source: str = "") -> ShadowPolicy:
    """Has what the files would make be asked from now on, in place of what was asked before.

    What they would make is worked out now: later changes by hand are not in it. Raises Broken, Refused.
    """
    organization = lock(organization)
    check(by, organization)
    made, _ = proposed(organization, files)
    state = {"agents": made.after.agents, "tiers": made.after.tiers}
    values = {"state": state, "source": source, "set_at": database_now(), "set_by": person(by)}
    row, _ = ShadowPolicy.objects.update_or_create(organization=organization, defaults=values)
    write_event(
        verb="set", row=row, by=by, organization_id=organization.pk, data={"source": source, "summary": made.summary}
    )
    return row


@transaction.atomic
def end_shadow(*, organization: Organization, by: Who) -> None:
    """Nothing is asked beside the policy any more; what was recorded stays. Raises Refused."""
    organization = lock(organization)
    check(by, organization)
    row = ShadowPolicy.objects.filter(organization=organization).first()
    if row is not None:
        write_event(verb="end", row=row, by=by, organization_id=organization.pk, data={"source": row.source})
        row.delete()


@dataclass(frozen=True, slots=True)
class Differing:
    """One check to which the shadow would have said something else."""

    event: Event
    was: str
    would: str
    reason: str
    permission: str


@dataclass(slots=True)
class Comparison:
    """What the shadow said of the newest checks since it was set. `more`: older ones were not looked at."""

    since: datetime
    looked_at: int = 0
    differs: int = 0
    groups: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    examples: list[Differing] = field(default_factory=list)
    more: bool = False


def compare(row: ShadowPolicy) -> Comparison:
    """Reads what the record kept, live mode's newest LOOKED_AT checks at most."""
    found = Comparison(row.set_at)
    search = queries.Search(mode="live", kind="agent:check", since=row.set_at)
    after = None
    while found.looked_at < LOOKED_AT:
        page = queries.find(row.organization_id, search, after=after, size=PAGE)
        for event in page.events:
            _look(found, event)
        if page.next_cursor is None:
            return found
        after = page.events[-1].id
    found.more = True
    return found


def _look(found: Comparison, event: Event) -> None:
    said = event.brief_data.get("shadow")
    if not isinstance(said, dict):
        return
    found.looked_at += 1
    would = str(said.get("outcome", ""))
    if would == event.result:
        return
    found.differs += 1
    found.groups[event.agent, event.action, event.result, would] += 1
    if len(found.examples) < EXAMPLES:
        reason, permission = str(said.get("reason", "")), str(said.get("permission") or "")
        found.examples.append(Differing(event, event.result, would, reason, permission))
