"""The audit page, an event's page, and the export."""

from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import BadRequest
from django.core.handlers.asgi import ASGIRequest
from django.db import OperationalError, transaction
from django.http import Http404, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from audit import queries
from audit.access import MemberRequest, reads_the_record
from audit.check import verify_row
from audit.export import lines, stream
from audit.filters import Filters
from audit.ids import read_id, show_id
from audit.log import Leaf
from audit.models import Event
from audit.names import names
from audit.proofs import command, mark
from audit.record import record
from audit.sealing import is_marked, marked_as_erased
from audit.sentences import SENTENCES
from audit.subjects import keys_left

FACETS = [("", "All"), ("allow", "Allowed"), ("ask", "Asked"), ("deny", "Denied")]


@require_safe
@reads_the_record
def index(request: MemberRequest) -> HttpResponse:
    """The searchable log: newest first, its filters and its place in the address."""
    filters = Filters(_given(request.GET))
    page, failed = None, False
    if filters.is_valid():
        after, before = (read_id("evt", request.GET.get(name, "")) for name in ("after", "before"))
        try:
            page = queries.find(request.organization.id, filters.search(request.mode), after=after, before=before)
        except OperationalError:
            failed = True
    return render(
        request,
        "audit/list.html",
        {
            "filters": filters,
            "page": page,
            "failed": failed,
            "narrowed": bool(filters.data),
            "facets": FACETS,
            "listed": request.GET.get("result", "") in dict(FACETS),
            "kinds": SENTENCES,
            "agents": names(request.organization.id, request.mode, "agent"),
            "actions": names(request.organization.id, request.mode, "action"),
        },
        status=503 if failed else 200,
    )


@require_safe
@reads_the_record
def detail(request: MemberRequest, evt_id: str) -> HttpResponse:
    """One event: in words, its exact bytes, whether they still match their leaf, and its trail."""
    event = event_of(request, evt_id)
    related = queries.trail(request.organization.id, event.target, show_id("dec", event.id), limit=20)
    return render(
        request,
        "audit/detail.html",
        {
            "event": event,
            "checked": verify_row(event),
            "data": uncovered(event),
            "leaf": bytes(event.leaf).hex(),
            "command": f"(printf '\\0'; cat {event.event_id}.json) | sha256sum",
            "leaf_of": Leaf.objects.select_related("log").filter(event_id=event.id).first(),
            "proved_at": mark([event])[0].proved_at,
            "verify": command(event),
            "trail": [each for each in related if each.mode in (request.mode, "")],
        },
    )


@require_safe
@reads_the_record
def body(request: MemberRequest, evt_id: str) -> HttpResponse:
    """The canonical body as a file, byte for byte: its leaf is SHA-256 of a zero byte and this."""
    event = event_of(request, evt_id)
    return HttpResponse(event.body.encode(), "application/json", headers=attachment(f"{event.event_id}.json"))


@require_POST
@reads_the_record
def export(request: MemberRequest) -> HttpResponseBase:
    """What a search finds, as JSON Lines. That somebody took it away is itself recorded."""
    given = _given(request.POST)
    filters = Filters(given)
    if not filters.is_valid():
        raise BadRequest("The filters are not valid.")
    organization_id = request.organization.id
    with transaction.atomic():
        record(
            kind="person:record:export",
            organization_id=organization_id,
            mode=request.mode,
            actor=request.user.actor,
            data={"filters": given.dict()},
        )
    chunks = lines(organization_id, filters.search(request.mode))
    name = f"warden-record-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    return StreamingHttpResponse(
        stream(chunks) if isinstance(request, ASGIRequest) else chunks,
        content_type="application/jsonl",
        headers=attachment(name),
    )


def _given(params: QueryDict) -> QueryDict:
    """The filters that say something."""
    given = QueryDict(mutable=True)
    given.update({name: value.strip() for name in Filters.base_fields if (value := params.get(name, "")).strip()})
    return given


def event_of(request: MemberRequest, evt_id: str) -> Event:
    """The event that an address names, if it may be seen here. Raises Http404."""
    number = next((found for prefix in ("evt", "dec", "log") if (found := read_id(prefix, evt_id))), None)
    event = number and queries.get(request.organization.id, number, request.mode)
    if not event:
        raise Http404(evt_id)
    return event


def uncovered(event: Event) -> Any:
    """What the event says, to be looked at: values whose key was erased say so. Nothing is decrypted here."""
    data = event.data
    return marked_as_erased(data, keys_left(event.organization_id, data)) if is_marked(event.body) else data


def attachment(name: str) -> dict[str, str]:
    """The header that has a browser save what it gets."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
