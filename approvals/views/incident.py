"""An agent that cannot be trusted: stop it, see what it did, bring it back, take the evidence away."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.views.answers import told
from agents.forms.agent import ReasonForm
from agents.models import ApiKey
from agents.models.banned import is_banned
from agents.services import identities, keys
from agents.views.detail import tabs
from agents.views.finding import find_agent
from approvals import states
from approvals.evidence import name_of, write_evidence
from approvals.models import Approval
from audit import queries
from audit.clock import database_now
from audit.filters import Filters
from audit.ids import read_id
from audit.views import FACETS

GIVEN = ("action", "kind", "result", "since", "until")


@require_safe
@requires("logs:read")
def incident(request: MemberRequest, slug: str) -> HttpResponse:
    """Where the agent stands, and everything it did, by filters that live in the address."""
    agent = find_agent(request, slug)
    given = {name: value for name in GIVEN if (value := request.GET.get(name, "").strip())}
    filters = Filters(given | {"agent": agent.slug})
    page, failed = None, False
    if filters.is_valid():
        after, before = (read_id("evt", request.GET.get(name, "")) for name in ("after", "before"))
        try:
            page = queries.find(request.organization.pk, filters.search(request.mode), after=after, before=before)
        except OperationalError:
            failed = True
    approvals = Approval.objects.filter(agent=agent)
    context = tabs(request, agent) | {
        "filters": filters,
        "fields": [filters[name] for name in GIVEN if name != "result"],
        "given": given,
        "page": page,
        "failed": failed,
        "facets": FACETS,
        "working": ApiKey.objects.filter(agent=agent, revoked_at=None).count(),
        "pending": approvals.filter(state=states.PENDING).count(),
        "unclaimed": approvals.filter(state=states.APPROVED, claimed_at=None, lapsed_at=None).count(),
        "name_banned": is_banned(request.organization, agent.spiffe_id),
        "elsewhere": f"{reverse('audit:list')}?{urlencode({'agent': agent.slug} | given)}",
    }
    return render(request, "approvals/incident.html", context, status=503 if failed else 200)


@requires("agents:write")
def revoke_all(request: MemberRequest, slug: str) -> HttpResponse:
    """Asks, then revokes every key of the agent alone."""
    agent = find_agent(request, slug)
    back = reverse("incident", args=[slug])
    if request.method == "POST":
        with told(request, f"Every key of {agent.name} is revoked."):
            keys.revoke_keys(agent=agent, by=request.membership)
        return redirect(back)
    context = {
        "agent": agent,
        "title": f"Revoke every key of {agent.name}?",
        "words": "They open nothing from this moment on, for ever. Keys of the whole organization, and its SVIDs, go "
        "on working: suspend or ban the agent to stop those too.",
        "button": "Revoke all keys",
        "icon": "key-round",
        "danger": True,
        "back": back,
    }
    return render(request, "agents/confirm.html", context)


@requires("agents:write")
def ban_name(request: MemberRequest, slug: str) -> HttpResponse:
    """Asks, then bans the agent's SPIFFE ID, and the agent with it."""
    agent = find_agent(request, slug)
    back = reverse("incident", args=[slug])
    if not agent.spiffe_id:
        return redirect(back)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            identities.ban_identity(
                organization=request.organization,
                by=request.membership,
                spiffe_id=agent.spiffe_id,
                reason=form.cleaned_data["reason"],
            )
        except Refused as why_not:
            form.add_error(None, str(why_not))
        except ValidationError as error:
            form.add_error("reason", error.messages)
        else:
            messages.success(request, f"{agent.spiffe_id} is banned, and {agent.name} with it.")
            return redirect(back)
    context = {
        "agent": agent,
        "form": form,
        "title": f"Ban {agent.spiffe_id}?",
        "words": "From this moment on nobody here is allowed anything by this name, and nobody to do anything to it, "
        "whichever agent has it. The agent is banned with it: its keys are revoked, what it waits for is cancelled.",
        "button": "Ban the SPIFFE ID",
        "icon": "ban",
        "danger": True,
        "back": back,
    }
    return render(request, "agents/confirm.html", context, status=422 if form.errors else 200)


@require_POST
@requires("logs:read")
def evidence(request: MemberRequest, slug: str) -> HttpResponse:
    """Everything about the agent, as a zip."""
    agent = find_agent(request, slug)
    answer = FileResponse(
        write_evidence(agent=agent, by=request.membership),
        as_attachment=True,
        filename=name_of(agent, database_now()),
    )
    return cast("HttpResponse", answer)  # what Django sends is either
