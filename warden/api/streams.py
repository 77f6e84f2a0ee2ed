"""/api/streams: where the record flows to, and how far it is there."""

from typing import Annotated, Literal

from django.db.models import QuerySet
from msgspec import UNSET, Meta, Struct, UnsetType

from audit.clock import database_now
from audit.ids import show_id
from audit.sequenced import log_name
from notifications import models
from notifications.streams import lag, services
from warden.api import finding
from warden.api.answers import Moment
from warden.api.bodies import Line, Mode, Paging
from warden.api.endpoint import Call, endpoint

Kind = Literal["syslog_tls", "syslog_tcp", "webhook"]
Format = Literal["json", "ocsf"]
LogName = Literal["live", "test", "organization"]
Address = Annotated[Line, Meta(description="host:port, or a URL.", examples=["logs.example.com:6514"])]
Pem = Annotated[str, Meta(max_length=100_000)]
Authority = Annotated[Pem, Meta(description="PEM: who vouches for the receiver. Empty: whom this machine trusts.")]
Certificate = Annotated[Pem, Meta(description="PEM: the client certificate, with its chain.")]
Key = Annotated[Pem, Meta(description="PEM: its key, without a password. Never shown again.")]
Payloads = Annotated[bool, Meta(description="Whether what agents and people wrote goes along.")]


class StreamsQuery(Paging):
    mode: Mode = "live"


class NewStream(Struct, forbid_unknown_fields=True):
    """A new stream. The certificates are for syslog_tls."""

    kind: Kind
    name: Annotated[Line, Meta(examples=["SIEM"])]
    address: Address
    mode: Mode = "live"
    format: Format = "json"
    payloads: Payloads = False
    everything: Annotated[bool, Meta(description="From the first event on; false: what comes from now on.")] = True
    authority: Authority = ""
    certificate: Certificate = ""
    key: Key = ""


class ChangeStream(Struct, forbid_unknown_fields=True):
    """What changes. Its kind and mode stay."""

    name: Line | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    payloads: Payloads | UnsetType = UNSET
    authority: Authority | UnsetType = UNSET
    certificate: Certificate | UnsetType = UNSET
    key: Key | UnsetType = UNSET
    is_paused: bool | UnsetType = UNSET


class MoveStream(Struct, forbid_unknown_fields=True):
    """Where to go on: what is there from this index on is sent, whether it was before or not."""

    log: LogName
    index: Annotated[int, Meta(ge=0)]


class StreamPosition(Struct):
    """A stream in one of its logs: the receiver has taken everything before `next_index`."""

    log: LogName
    next_index: int
    size: Annotated[int, Meta(description="Events in the log.")]
    behind: int
    lag_seconds: Annotated[float, Meta(description="Age of the oldest that was not taken; 0: none.")]
    taken_at: Moment | None


class Stream(Struct):
    """A stream, without its secrets."""

    id: str
    name: str
    kind: Kind
    address: str
    mode: Mode
    format: Format
    payloads: bool
    authority: str
    certificate: str
    paused_at: Moment | None
    failing_since: Moment | None
    error: str
    attempts: Annotated[int, Meta(description="Failed in a row.")]
    retry_at: Moment | None
    positions: list[StreamPosition]
    created_at: Moment


class NewStreamAnswer(Struct):
    """The only time that a webhook's signing secret is shown."""

    secret: Annotated[str | None, Meta(description="whsec_…; null where nothing is signed.")]
    stream: Stream


class StreamTest(Struct):
    taken: bool
    answer: str


def _stream(row: models.Stream) -> Stream:
    return Stream(
        id=show_id("str", row.pk),
        name=row.name,
        kind=row.kind,  # type: ignore[arg-type]
        address=row.address,
        mode=row.mode,  # type: ignore[arg-type]
        format=row.format,  # type: ignore[arg-type]
        payloads=row.payloads,
        authority=row.authority,
        certificate=row.certificate,
        paused_at=row.paused_at,
        failing_since=row.failing_since,
        error=row.error,
        attempts=row.attempts,
        retry_at=row.retry_at,
        positions=[_position(each) for each in lag.standings(row, database_now())],
        created_at=row.created_at,
    )


def _position(each: lag.Standing) -> StreamPosition:
    return StreamPosition(
        log=log_name(each.position.scope),  # type: ignore[arg-type]
        next_index=each.position.next_index,
        size=each.size,
        behind=each.behind,
        lag_seconds=round(each.lag, 3),
        taken_at=each.position.taken_at,
    )


def _streams(call: Call) -> QuerySet[models.Stream]:
    return models.Stream.objects.filter(organization=call.organization).select_related("organization")


def _find(call: Call, stream_id: str) -> models.Stream:
    return finding.one(_streams(call), "str", stream_id, "Stream")


@endpoint("GET", "streams", "settings:read")
def list_streams(call: Call, query: StreamsQuery) -> list[Stream]:
    """List streams, by name, and where each is."""
    rows = _streams(call).filter(mode=query.mode).order_by("name", "id")
    return [_stream(row) for row in rows[query.offset : query.offset + query.limit]]


@endpoint("POST", "streams", "settings:write", 201)
def create_stream(call: Call, body: NewStream) -> NewStreamAnswer:
    """Create a stream. A webhook's signing secret is shown this once."""
    row, secret = services.create(organization=call.organization, by=call.membership, **finding.given(body))
    return NewStreamAnswer(secret or None, _stream(_find(call, str(row.pk))))


@endpoint("GET", "streams/{stream_id}", "settings:read")
def get_stream(call: Call, stream_id: str) -> Stream:
    """Get a stream."""
    return _stream(_find(call, stream_id))


@endpoint("PUT", "streams/{stream_id}", "settings:write")
def change_stream(call: Call, stream_id: str, body: ChangeStream) -> Stream:
    """Change a stream: the fields that are given. `is_paused` pauses it, or has it go on where it is."""
    row, fields = _find(call, stream_id), finding.given(body)
    paused = fields.pop("is_paused", None)
    if fields:
        services.change(stream=row, by=call.membership, **fields)
    if paused is True:
        services.pause(stream=row, by=call.membership)
    elif paused is False:
        services.resume(stream=row, by=call.membership)
    return _stream(_find(call, stream_id))


@endpoint("DELETE", "streams/{stream_id}", "settings:write", 204)
def delete_stream(call: Call, stream_id: str) -> None:
    """Delete a stream. What the receiver has, it keeps."""
    services.delete(stream=_find(call, stream_id), by=call.membership)


@endpoint("POST", "streams/{stream_id}/move", "settings:write")
def move_stream(call: Call, stream_id: str, body: MoveStream) -> Stream:
    """Have a stream begin anew in one of its logs, at an index."""
    row = _find(call, stream_id)
    services.move(
        stream=row, scope="" if body.log == "organization" else body.log, index=body.index, by=call.membership
    )
    return _stream(_find(call, stream_id))


@endpoint("POST", "streams/{stream_id}/rotate-secret", "settings:write")
def rotate_stream_secret(call: Call, stream_id: str) -> NewStreamAnswer:
    """Give a webhook's stream a new signing secret, shown this once. The old one signs nothing any more."""
    row = _find(call, stream_id)
    return NewStreamAnswer(services.rotate_secret(stream=row, by=call.membership), _stream(_find(call, stream_id)))


@endpoint("POST", "streams/{stream_id}/test", "settings:write")
def test_stream(call: Call, stream_id: str) -> StreamTest:
    """Send a test through a stream now, and answer what came of it."""
    answer, taken = services.test(stream=_find(call, stream_id), by=call.membership)
    return StreamTest(taken, answer)
