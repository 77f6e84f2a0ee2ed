"""/api/logs: what agents say they did. /api/events: the whole record."""

import uuid

from agents.models import Agent
from audit import queries
from audit.filters import meanings
from audit.ids import read_id
from audit.models import Event
from audit.queries import Search
from warden.api.answers import record as answers
from warden.api.approvals import cursor
from warden.api.bodies import EventsQuery, LogsQuery
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure, missing

LOG = "agent:action:log"


@endpoint("GET", "logs", "logs:read")
def list_logs(call: Call, query: LogsQuery) -> list[answers.Log]:
    """List what agents logged, newest first. Logs of deleted agents stay."""
    search = Search(
        mode=query.mode,
        kind=LOG,
        agent=_slug(call, query.agent_id) if query.agent_id else "",
        action=query.action or "",
        result=query.status or "",
        since=query.created_after,
        until=query.created_before,
        exact=True,
    )
    if query.after and query.offset:
        raise Failure(422, "offset: give either `after` or `offset`")
    if query.offset:
        rows = queries.skip(call.organization.pk, search, offset=query.offset, size=query.limit)
    else:
        rows = _older(call, search, "log", query.after, query.limit)
    return [answers.log(row) for row in rows]


@endpoint("GET", "logs/{log_id}", "logs:read")
def get_log(call: Call, log_id: str) -> answers.Log:
    """Get one log."""
    row = _event(call, "log", log_id)
    if row is None or row.kind != LOG:
        raise missing("Log")
    return answers.log(row)


@endpoint("GET", "events", "logs:read")
def list_events(call: Call, query: EventsQuery) -> list[answers.Event]:
    """Search the record, newest first. What concerns the organization as a whole is in both modes."""
    targets, ids = meanings(query.target)
    search = Search(
        mode=query.mode,
        actor=query.actor,
        agent=query.agent,
        action=query.action,
        kind=query.kind,
        result=query.result,
        targets=targets,
        ids=ids,
        since=query.since,
        until=query.until,
    )
    return [answers.event(row) for row in _older(call, search, "evt", query.after, query.limit)]


@endpoint("GET", "events/{event_id}", "logs:read")
def get_event(call: Call, event_id: str) -> answers.Event:
    """Get one event, by evt_…, dec_… or log_…."""
    row = next((found for prefix in ("evt", "dec", "log") if (found := _event(call, prefix, event_id))), None)
    if row is None:
        raise missing("Event")
    return answers.event(row)


def _older(call: Call, search: Search, prefix: str, after: str | None, size: int) -> list[Event]:
    number = cursor(prefix, after) if after else None
    if number and not Event.objects.filter(pk=number, organization_id=call.organization.pk).exists():
        raise missing("`after`")
    return queries.find(call.organization.pk, search, after=number, size=size, whole=True).events


def _event(call: Call, prefix: str, text: str) -> Event | None:
    number: uuid.UUID | None = read_id(prefix, text)
    return Event.objects.filter(pk=number, organization_id=call.organization.pk).first() if number else None


def _slug(call: Call, text: str) -> str:
    """The slug under which the record keeps an agent that may be gone."""
    number = read_id("agt", text)
    rows = Agent.objects.filter(organization=call.organization, pk=number) if number else Agent.objects.none()
    return rows.values_list("slug", flat=True).first() or text
