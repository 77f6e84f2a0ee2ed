"""Channels: the list, one of them, making, changing, testing, switching and deleting it."""

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.trail import trail_of
from accounts.views.answers import status_of, told, told_in
from audit.ids import read_id, show_id
from notifications.forms import ADDRESSES, ChannelForm, NewChannelForm
from notifications.models import TRANSPORTS, Channel, Delivery
from notifications.services import channels as services
from notifications.views.secret import Signed, rotate, show
from notifications.words import sentences

RECENT = 10  # deliveries on a channel's page


def find(request: MemberRequest, chn_id: str) -> Channel:
    """The channel of that id in this organization and mode. Raises Http404 for everything else."""
    scope = Channel.objects.filter(organization=request.organization, mode=request.mode)
    found = scope.select_related("organization").filter(pk__in=[read_id("chn", chn_id)]).first()
    if found is None:
        raise Http404
    return found


def _page(channel: Channel) -> HttpResponse:
    return redirect("notifications:channel", show_id("chn", channel.pk))


@require_safe
@requires("settings:read")
def channels(request: MemberRequest) -> HttpResponse:
    found = list(Channel.objects.filter(organization=request.organization, mode=request.mode))
    words = sentences(found)
    context = {
        "rows": [(channel, show_id("chn", channel.pk), words[channel]) for channel in found],
        "disabled": [
            (channel, show_id("chn", channel.pk))
            for channel in found
            if channel.disabled_because and not channel.is_active
        ],
        "kinds": TRANSPORTS,
        "may_write": request.membership.may("settings:write"),
        "nav": "settings",
    }
    return render(request, "notifications/channels.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def channel_new(request: MemberRequest, transport: str) -> HttpResponse:
    if transport not in ADDRESSES:
        raise Http404
    form = NewChannelForm(
        request.POST or None,
        organization=request.organization,
        transport=transport,
        initial={"transport": transport},
    )
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            values = form.values() | {"transport": transport}
            channel, secret = services.create(
                organization=request.organization, mode=request.mode, by=request.membership, **values
            )
            if not secret:
                return _page(channel)
            return show(request, _signed(channel), secret)
    context = {"form": form, "kind": dict(TRANSPORTS)[transport], "transport": transport, "nav": "settings"}
    return render(request, "notifications/channel_new.html", context, status=status_of(form))


def _signed(channel: Channel) -> Signed:
    url = reverse("notifications:channel", args=[show_id("chn", channel.pk)])
    return Signed("channel", channel.name, reverse("notifications:channels"), url)


@require_safe
@requires("settings:read")
def channel(request: MemberRequest, chn_id: str) -> HttpResponse:
    """One channel: what it hears of, how it fares, and what can be done with it."""
    found = find(request, chn_id)
    recent = list(Delivery.objects.filter(channel=found).order_by("-id")[:RECENT])
    context = {
        "channel": found,
        "id": show_id("chn", found.pk),
        "sentence": sentences([found])[found],
        "deliveries": [(each, show_id("dlv", each.pk)) for each in recent],
        "trail": trail_of(found.organization, "chn", found.pk),
        "may_write": request.membership.may("settings:write"),
        "nav": "settings",
    }
    return render(request, "notifications/channel.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def channel_edit(request: MemberRequest, chn_id: str) -> HttpResponse:
    found = find(request, chn_id)
    form = ChannelForm(request.POST or None, organization=found.organization, transport=found.transport, channel=found)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            services.change(channel=found, by=request.membership, **form.values())
            return _page(found)
    context = {"channel": found, "id": show_id("chn", found.pk), "form": form, "nav": "settings"}
    return render(request, "notifications/channel_edit.html", context, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def channel_delete(request: MemberRequest, chn_id: str) -> HttpResponse:
    """Asks, then deletes."""
    found = find(request, chn_id)
    if request.method == "POST":
        with told(request, f"The channel {found.name} is deleted."):
            services.delete(channel=found, by=request.membership)
        return redirect("notifications:channels")
    owed = Delivery.objects.filter(channel=found, state=Delivery.State.DUE).count()
    context = {"channel": found, "id": show_id("chn", found.pk), "owed": owed, "nav": "settings"}
    return render(request, "notifications/channel_delete.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def channel_rotate(request: MemberRequest, chn_id: str) -> HttpResponse:
    """Asks, then makes a new signing secret and shows it once."""
    found = find(request, chn_id)
    if found.transport != "webhook":
        raise Http404
    return rotate(request, _signed(found), lambda: services.rotate_secret(channel=found, by=request.membership))


@require_POST
@requires("settings:write")
def channel_switch(request: MemberRequest, chn_id: str) -> HttpResponse:
    """On or off, as the form says."""
    found = find(request, chn_id)
    if request.POST.get("to") == "on":
        with told(request, f"{found.name} is enabled. What was given up meanwhile is sent now."):
            services.enable(channel=found, by=request.membership)
    else:
        with told(request, f"{found.name} is disabled. Nothing is sent to it."):
            services.disable(channel=found, by=request.membership)
    return _page(found)


@require_POST
@requires("settings:write")
def channel_test(request: MemberRequest, chn_id: str) -> HttpResponse:
    """Owes it a test message, and leads to what came of it."""
    found = find(request, chn_id)
    try:
        sent = services.send_test(channel=found, by=request.membership)
    except (Refused, ValidationError) as refused:
        with told(request, ""):
            raise Refused(str(refused)) from refused
        return _page(found)
    return redirect(reverse("notifications:delivery", args=[show_id("dlv", sent.pk)]))
