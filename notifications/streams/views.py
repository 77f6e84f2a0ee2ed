"""Streams: the list, one of them, making, changing, testing, pausing, moving and deleting it."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.trail import trail_of
from accounts.views.answers import status_of, told, told_in
from audit.clock import database_now
from audit.ids import read_id, show_id
from notifications.models import Stream
from notifications.models.stream import KINDS
from notifications.publishing.publish import publications
from notifications.streams import lag, services
from notifications.streams.forms import MoveForm, NewStreamForm, StreamForm
from notifications.views.secret import Signed, rotate, show


def find(request: MemberRequest, str_id: str) -> Stream:
    """The stream of that id in this organization and mode. Raises Http404 for everything else."""
    scope = Stream.objects.filter(organization=request.organization, mode=request.mode)
    found = scope.select_related("organization", "created_by").filter(pk__in=[read_id("str", str_id)]).first()
    if found is None:
        raise Http404
    return found


def _page(stream: Stream) -> HttpResponse:
    return redirect("notifications:stream", show_id("str", stream.pk))


@require_safe
@requires("settings:read")
def streams(request: MemberRequest) -> HttpResponse:
    """Where the record flows to, and how far each is behind."""
    now = database_now()
    found = list(Stream.objects.filter(organization=request.organization, mode=request.mode))
    rows = []
    for stream in found:
        standings = lag.standings(stream, now)
        rows.append(
            (
                stream,
                show_id("str", stream.pk),
                sum(each.behind for each in standings),
                max((each.lag for each in standings), default=0.0),
            )
        )
    context = {
        "rows": rows,
        "failing": [row[:2] for row in rows if row[0].failing_since and not row[0].paused_at],
        "kinds": KINDS,
        "published": publications(request.organization.id, request.mode),
        "may_write": request.membership.may("settings:write"),
        "nav": "settings",
    }
    return render(request, "notifications/streams.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def stream_new(request: MemberRequest, kind: str) -> HttpResponse:
    if kind not in dict(KINDS):
        raise Http404
    form = NewStreamForm(request.POST or None, kind=kind)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            stream, secret = services.create(
                organization=request.organization, mode=request.mode, kind=kind, by=request.membership, **form.values()
            )
            return show(request, _signed(stream), secret) if secret else _page(stream)
    context = {"form": form, "kind": dict(KINDS)[kind], "nav": "settings"}
    return render(request, "notifications/stream_new.html", context, status=status_of(form))


def _signed(stream: Stream) -> Signed:
    url = reverse("notifications:stream", args=[show_id("str", stream.pk)])
    return Signed("stream", stream.name, reverse("notifications:streams"), url)


@require_safe
@requires("settings:read")
def stream(request: MemberRequest, str_id: str) -> HttpResponse:
    """One stream: where it is, how it fares, and what can be done with it."""
    found = find(request, str_id)
    context = {
        "stream": found,
        "id": show_id("str", found.pk),
        "standings": lag.standings(found, database_now()),
        "trail": trail_of(found.organization, "str", found.pk),
        "may_write": request.membership.may("settings:write"),
        "nav": "settings",
    }
    return render(request, "notifications/stream.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def stream_edit(request: MemberRequest, str_id: str) -> HttpResponse:
    found = find(request, str_id)
    form = StreamForm(request.POST or None, kind=found.kind, stream=found)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            services.change(stream=found, by=request.membership, **form.cleaned_data)
            return _page(found)
    context = {"stream": found, "id": show_id("str", found.pk), "form": form, "nav": "settings"}
    return render(request, "notifications/stream_edit.html", context, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def stream_move(request: MemberRequest, str_id: str) -> HttpResponse:
    """Asks where to begin anew."""
    found = find(request, str_id)
    form = MoveForm(request.POST or None, stream=found)
    if request.method == "POST" and form.is_valid():
        log, index = form.cleaned_data["log"], form.cleaned_data["index"]
        with told_in(form):
            scope = "" if log == "organization" else log
            services.move(stream=found, scope=scope, index=index, by=request.membership)
            messages.success(request, f"{found.name} goes on from {index}.")
            return _page(found)
    context = {
        "stream": found,
        "id": show_id("str", found.pk),
        "form": form,
        "standings": lag.standings(found, database_now()),
        "nav": "settings",
    }
    return render(request, "notifications/stream_move.html", context, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def stream_rotate(request: MemberRequest, str_id: str) -> HttpResponse:
    """Asks, then makes a new signing secret and shows it once."""
    found = find(request, str_id)
    if found.is_syslog:
        raise Http404
    return rotate(request, _signed(found), lambda: services.rotate_secret(stream=found, by=request.membership))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def stream_delete(request: MemberRequest, str_id: str) -> HttpResponse:
    """Asks, then deletes."""
    found = find(request, str_id)
    if request.method == "POST":
        with told(request, f"The stream {found.name} is deleted."):
            services.delete(stream=found, by=request.membership)
        return redirect("notifications:streams")
    context = {"stream": found, "id": show_id("str", found.pk), "nav": "settings"}
    return render(request, "notifications/stream_delete.html", context)


@require_POST
@requires("settings:write")
def stream_switch(request: MemberRequest, str_id: str) -> HttpResponse:
    """Pauses or resumes, as the form says."""
    found = find(request, str_id)
    if request.POST.get("to") == "on":
        with told(request, f"{found.name} goes on where it was."):
            services.resume(stream=found, by=request.membership)
    else:
        with told(request, f"{found.name} is paused. Nothing is lost: it goes on where it is when you resume it."):
            services.pause(stream=found, by=request.membership)
    return _page(found)


@require_POST
@requires("settings:write")
def stream_test(request: MemberRequest, str_id: str) -> HttpResponse:
    """Sends a test now, and says what came of it."""
    found = find(request, str_id)
    try:
        answer, taken = services.test(stream=found, by=request.membership)
    except Refused as refused:
        answer, taken = str(refused), False
    (messages.success if taken else messages.error)(request, answer if taken else f"Not taken. {answer}")
    return _page(found)
