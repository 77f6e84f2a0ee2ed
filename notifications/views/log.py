"""What was sent to whom, and what was not."""

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import told
from audit.ids import read_id, show_id
from notifications import registry
from notifications.models import WAYS, Channel, Delivery
from notifications.services import deliveries as services

PAGE = 50


@require_safe
@requires("settings:read")
def deliveries(request: MemberRequest) -> HttpResponse:
    """The delivery log of this organization and mode, newest first, by key."""
    asked = {name: request.GET.get(name, "") for name in ("state", "transport", "event", "channel", "q")}
    rows = ever = Delivery.objects.filter(organization=request.organization, mode=request.mode)
    if asked["state"] in Delivery.State.values:
        rows = rows.filter(state=asked["state"])
    if asked["transport"] in dict(WAYS):
        rows = rows.filter(transport=asked["transport"])
    if asked["event"]:
        rows = rows.filter(event=asked["event"][:40].replace("\0", ""))
    if asked["channel"]:
        rows = rows.filter(channel=read_id("chn", asked["channel"]))
    if asked["q"]:
        rows = rows.filter(address__icontains=asked["q"][:200].replace("\0", ""))
    if after := read_id("dlv", request.GET.get("after", "")):
        rows = rows.filter(id__lt=after)
    found = list(rows.select_related("channel").order_by("-id")[: PAGE + 1])
    shown = found[:PAGE]
    channels = Channel.objects.filter(organization=request.organization, mode=request.mode)
    context = {
        "deliveries": shown,
        "rows": [(delivery, show_id("dlv", delivery.id)) for delivery in shown],
        "older": show_id("dlv", found[PAGE - 1].id) if len(found) > PAGE else "",
        "asked": asked,
        "state": asked["state"],
        "states": Delivery.State.choices,
        "transports": WAYS,
        "channels": [(show_id("chn", channel.id), channel.name) for channel in channels],
        "ever": bool(found) or ever.exists(),
        "nav": "settings",
    }
    return render(request, "notifications/deliveries.html", context)


def find(request: MemberRequest, dlv_id: str) -> Delivery:
    """The delivery of that id in this organization and mode. Raises Http404 for everything else."""
    scope = Delivery.objects.filter(organization=request.organization, mode=request.mode)
    found = (
        scope.select_related("channel", "announcement", "organization").filter(pk__in=[read_id("dlv", dlv_id)]).first()
    )
    if found is None:
        raise Http404
    return found


@require_safe
@never_cache
@requires("settings:read")
def delivery(request: MemberRequest, dlv_id: str) -> HttpResponse:
    """One message: what is sent, and what was answered each time."""
    found = find(request, dlv_id)
    topic = registry.topic_of(found.event)
    context = {
        "delivery": found,
        "about": topic.page(found.announcement) if topic else "",
        "id": show_id("dlv", found.pk),
        "channel_id": show_id("chn", found.channel.pk) if found.channel else "",
        "attempts": list(found.attempts_made.order_by("-id")[:100]),
        "may_retry": request.membership.may("settings:write")
        and found.state in (Delivery.State.DUE, Delivery.State.FAILED),
        "waits": found.state == Delivery.State.DUE,
        "nav": "settings",
    }
    return render(request, "notifications/delivery.html", context)


@require_POST
@requires("settings:write")
def delivery_retry(request: MemberRequest, dlv_id: str) -> HttpResponse:
    found = find(request, dlv_id)
    with told(request, "It is being sent now. Look again in a moment."):
        services.retry(delivery=found, by=request.membership)
    return redirect("notifications:delivery", dlv_id)
