"""What was sent to whom, and what was not."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import requires
from audit.ids import read_id, show_id
from notifications.models import Delivery

PAGE = 50


@require_safe
@requires("settings:read")
def deliveries(request: HttpRequest) -> HttpResponse:
    """The delivery log of this organization and mode, newest first, by key."""
    state = request.GET.get("state", "")
    rows = Delivery.objects.filter(organization=request.organization, mode=request.mode)  # type: ignore[attr-defined]
    ever = rows
    if state in Delivery.State.values:
        rows = rows.filter(state=state)
    if after := read_id("dlv", request.GET.get("after", "")):
        rows = rows.filter(id__lt=after)
    found = list(rows.order_by("-id")[: PAGE + 1])
    facts = {
        "deliveries": found[:PAGE],
        "older": show_id("dlv", found[PAGE - 1].id) if len(found) > PAGE else "",
        "state": state,
        "states": Delivery.State.choices,
        "ever": bool(found) or ever.exists(),
        "nav": "settings",
    }
    return render(request, "notifications/deliveries.html", facts)
