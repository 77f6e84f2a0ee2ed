"""/api/channels, /api/deliveries: where the organization hears of things, and what came of each message."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from msgspec import UNSET, Meta, Struct, UnsetType

from agents.models import Agent
from audit.ids import read_id, show_id
from notifications import models
from notifications.services import channels as services
from notifications.services import deliveries as sending
from warden.api import finding
from warden.api.bodies import PLAIN, Line, Mode, Paging, Risk
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure

Kind = Literal["email", "slack", "webhook"]
Way = Literal["email", "slack", "webhook", "aap"]  # of a delivery: a receiver of AAP is no channel
State = Literal["due", "sent", "failed", "moot"]
Moment = Annotated[datetime, Meta(tz=True)]
Words = list[Annotated[str, Meta(max_length=64, pattern=PLAIN)]]
Events = Annotated[Words, Meta(description="Such as approval.requested. Empty: every event.")]
Agents = Annotated[Words, Meta(description="Slugs or identifiers. Empty: every agent.")]
Teams = Annotated[Words, Meta(description="Slugs of teams that own the agent. Empty: whoever does.")]
Environments = Annotated[Words, Meta(description="Empty: every one.")]
Address = Annotated[
    Line, Meta(description="E-mail address, Slack channel, or URL.", examples=["https://example.com/hook"])
]


class ModeQuery(Paging):
    mode: Mode = "live"


class DeliveriesQuery(Paging):
    mode: Mode = "live"
    state: State | None = None
    channel: Annotated[Line | None, Meta(description="chn_…")] = None
    before: Annotated[Line | None, Meta(description="dlv_…: those made before it.")] = None


class NewChannel(Struct, forbid_unknown_fields=True):
    """A new channel. What a filter does not name, it lets through."""

    transport: Kind
    name: Annotated[Line, Meta(examples=["Orders"])]
    address: Address
    mode: Mode = "live"
    events: Events = []
    agents: Agents = []
    teams: Teams = []
    risks: list[Risk] = []
    environments: Environments = []


class ChangeChannel(Struct, forbid_unknown_fields=True):
    """What changes. Its kind and mode stay."""

    name: Line | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    agents: Agents | UnsetType = UNSET
    teams: Teams | UnsetType = UNSET
    risks: list[Risk] | UnsetType = UNSET
    environments: Environments | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class Channel(Struct):
    """A channel, without its secret."""

    id: str
    name: str
    transport: Kind
    address: str
    mode: Mode
    is_active: bool
    disabled_at: Moment | None
    disabled_because: str
    events: list[str]
    agents: Annotated[list[str], Meta(description="agt_…")]
    teams: Annotated[list[str], Meta(description="team_…")]
    risks: list[Risk]
    environments: list[str]
    created_at: Moment


class NewChannelAnswer(Struct):
    """The only time that a webhook's signing secret is shown."""

    secret: Annotated[str | None, Meta(description="whsec_…; null where nothing is signed.")]
    channel: Channel


class Attempt(Struct):
    at: Moment
    succeeded: bool
    milliseconds: int
    answer: str


class Delivery(Struct):
    """One message to one address. `id` is the `webhook-id` of a webhook."""

    id: str
    event: str
    target: str
    transport: Way
    address: str
    channel: str | None
    mode: Mode
    state: State
    attempts: int
    error: str
    created_at: Moment
    due_at: Moment
    sent_at: Moment | None


class DeliveryAnswer(Struct):
    """A delivery with its attempts, latest first."""

    delivery: Delivery
    attempts: list[Attempt]


def _channel(row: models.Channel) -> Channel:
    return Channel(
        id=show_id("chn", row.id),
        name=row.name,
        transport=row.transport,  # type: ignore[arg-type]
        address=row.address,
        mode=row.mode,  # type: ignore[arg-type]
        is_active=row.is_active,
        disabled_at=row.disabled_at,
        disabled_because=row.disabled_because,
        events=row.events,
        agents=[show_id("agt", pk) for pk in row.agents],
        teams=[show_id("team", pk) for pk in row.teams],
        risks=row.risks,  # type: ignore[arg-type]
        environments=row.environments,
        created_at=row.created_at,
    )


def _delivery(row: models.Delivery) -> Delivery:
    return Delivery(
        id=show_id("dlv", row.id),
        event=row.event,
        target=row.announcement.target,
        transport=row.transport,  # type: ignore[arg-type]
        address=row.address,
        channel=show_id("chn", row.channel_id) if row.channel_id else None,
        mode=row.mode,  # type: ignore[arg-type]
        state=row.state,  # type: ignore[arg-type]
        attempts=row.attempts,
        error=row.error,
        created_at=row.created_at,
        due_at=row.due_at,
        sent_at=row.sent_at,
    )


def _channels(call: Call) -> QuerySet[models.Channel]:
    return models.Channel.objects.filter(organization=call.organization).select_related("organization")


def _deliveries(call: Call) -> QuerySet[models.Delivery]:
    rows = models.Delivery.objects.filter(organization=call.organization)
    return rows.select_related("organization", "channel", "announcement")


def _filters(call: Call, body: NewChannel | ChangeChannel) -> dict[str, Any]:
    """The fields that were given, agents and teams as the identifiers they name. Raises Failure (422)."""
    fields = finding.given(body)
    for name, find in (("agents", _agent), ("teams", finding.team)):
        if name in fields:
            fields[name] = [_named(find, call, text, name) for text in fields[name]]
    return fields


def _agent(call: Call, text: str) -> Agent:
    return finding.agent(call, text)


def _named(find: Any, call: Call, text: str, field: str) -> UUID:
    try:
        found: UUID = find(call, text).pk
    except Failure as error:
        raise Failure(422, f"{field}: there is no {text}") from error
    return found


def _find(call: Call, channel_id: str) -> models.Channel:
    return finding.one(_channels(call), "chn", channel_id, "Channel")


@endpoint("GET", "channels", "settings:read")
def list_channels(call: Call, query: ModeQuery) -> list[Channel]:
    """List channels, by name."""
    rows = _channels(call).filter(mode=query.mode).order_by("name", "id")
    return [_channel(row) for row in rows[query.offset : query.offset + query.limit]]


@endpoint("POST", "channels", "settings:write", 201)
def create_channel(call: Call, body: NewChannel) -> NewChannelAnswer:
    """Create a channel. A webhook's signing secret is shown this once."""
    row, secret = services.create(organization=call.organization, by=call.membership, **_filters(call, body))
    return NewChannelAnswer(secret or None, _channel(_find(call, str(row.pk))))


@endpoint("GET", "channels/{channel_id}", "settings:read")
def get_channel(call: Call, channel_id: str) -> Channel:
    """Get a channel."""
    return _channel(_find(call, channel_id))


@endpoint("PUT", "channels/{channel_id}", "settings:write")
def change_channel(call: Call, channel_id: str, body: ChangeChannel) -> Channel:
    """Change a channel: the fields that are given. `is_active` switches it off, or on again."""
    row, fields = _find(call, channel_id), _filters(call, body)
    active = fields.pop("is_active", None)
    if fields:
        services.change(channel=row, by=call.membership, **fields)
    if active is True:
        services.enable(channel=row, by=call.membership)
    elif active is False:
        services.disable(channel=row, by=call.membership)
    return _channel(_find(call, channel_id))


@endpoint("DELETE", "channels/{channel_id}", "settings:write", 204)
def delete_channel(call: Call, channel_id: str) -> None:
    """Delete a channel. What it is still owed is given up."""
    services.delete(channel=_find(call, channel_id), by=call.membership)


@endpoint("POST", "channels/{channel_id}/rotate-secret", "settings:write")
def rotate_channel_secret(call: Call, channel_id: str) -> NewChannelAnswer:
    """Give a webhook a new signing secret, shown this once. The old one signs nothing any more."""
    row = _find(call, channel_id)
    return NewChannelAnswer(services.rotate_secret(channel=row, by=call.membership), _channel(row))


@endpoint("POST", "channels/{channel_id}/test", "settings:write", 202)
def test_channel(call: Call, channel_id: str) -> Delivery:
    """Send a test through a channel. Look at the delivery for what came of it."""
    sent = services.send_test(channel=_find(call, channel_id), by=call.membership)
    return _delivery(_deliveries(call).get(pk=sent.pk))


@endpoint("GET", "deliveries", "settings:read")
def list_deliveries(call: Call, query: DeliveriesQuery) -> list[Delivery]:
    """List deliveries, latest first."""
    rows = _deliveries(call).filter(mode=query.mode)
    if query.state:
        rows = rows.filter(state=query.state)
    if query.channel:
        rows = rows.filter(channel=_find(call, query.channel))
    if query.before:
        before = read_id("dlv", query.before)
        if before is None:
            raise Failure(422, "before: no identifier of a delivery")
        rows = rows.filter(id__lt=before)
    return [_delivery(row) for row in rows.order_by("-id")[query.offset : query.offset + query.limit]]


@endpoint("GET", "deliveries/{delivery_id}", "settings:read")
def get_delivery(call: Call, delivery_id: str) -> DeliveryAnswer:
    """Get a delivery and its attempts."""
    row = finding.one(_deliveries(call), "dlv", delivery_id, "Delivery")
    attempts = row.attempts_made.order_by("-id")[:100]
    return DeliveryAnswer(
        _delivery(row), [Attempt(each.at, each.succeeded, each.milliseconds, each.answer) for each in attempts]
    )


@endpoint("POST", "deliveries/{delivery_id}/retry", "settings:write", 202)
def retry_delivery(call: Call, delivery_id: str) -> Delivery:
    """Send a message that waits, or was given up, now."""
    row = finding.one(_deliveries(call), "dlv", delivery_id, "Delivery")
    sending.retry(delivery=row, by=call.membership)
    return _delivery(_deliveries(call).get(pk=row.pk))
