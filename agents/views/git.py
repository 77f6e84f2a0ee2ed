"""The policy in Git: what was applied last, where what there is differs, and the shadow policy's differences."""

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import told
from agents.code.state import current
from agents.code.writing import write
from agents.models import AppliedPolicy, PolicyProposal, ShadowPolicy
from agents.services.drift import drift
from agents.services.shadow import compare, end_shadow

HISTORY = 10


@requires("agents:read")
def page(request: MemberRequest) -> HttpResponse:
    """Drift, history and shadow, together."""
    found = drift(request.organization)
    shadow = ShadowPolicy.objects.filter(organization=request.organization).select_related("set_by").first()
    may_read_record = request.membership.may("logs:read")
    context = {
        "drift": found,
        "applied": AppliedPolicy.objects.filter(organization=request.organization).select_related("applied_by")[
            :HISTORY
        ],
        "shadow": shadow,
        "comparison": compare(shadow) if shadow and may_read_record else None,
        "may_read_record": may_read_record,
        "proposals": PolicyProposal.objects.filter(
            organization=request.organization, state=PolicyProposal.State.WAITING
        ).select_related("proposed_by"),
        "may_write": request.membership.may("agents:write"),
        "nav": "permissions",
        "snippet": "agentwarden policy export > warden.yaml\n"
        "agentwarden policy plan warden.yaml\n"
        "agentwarden policy apply warden.yaml",
    }
    return render(request, "agents/git.html", context)


@requires("agents:read")
def export(request: MemberRequest) -> HttpResponse:
    """Everything there is, as one file."""
    text = write(current(request.organization), schema_url=settings.SITE_URL + reverse("api:policy_schema"))
    response = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="warden.yaml"'
    return response


@require_POST
@requires("agents:write")
def shadow_end(request: MemberRequest) -> HttpResponse:
    """Asks the shadow nothing any more."""
    with told(request, "The shadow policy is asked nothing any more. What was recorded stays."):
        end_shadow(organization=request.organization, by=request.membership)
    return redirect("agents:git")
