"""Agents: the list, creating, editing, changing the status, deleting, marking as audited."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.views.answers import told
from agents.forms.agent import AgentForm, ReasonForm
from agents.models import Agent, ApiKey, Permission
from agents.services import agents
from agents.services.facts import token
from agents.views.finding import agents_of, find_agent
from agents.views.saving import Faster, save, status_of
from audit.models import Event

PAGE = 25
SNIPPET = """from agentwarden import AgentWarden

guard = AgentWarden()  # AGENTWARDEN_API_KEY, AGENTWARDEN_BASE_URL
if guard.check("support-bot", "stripe.refund", {"amount": 20}):
    refund()"""
STATUSES = {
    "activate": (
        "active",
        "Activate",
        "It may act again, within its tiers, from this moment on.",
        "circle-play",
    ),
    "suspend": (
        "suspended",
        "Suspend",
        "Every check of it is denied from this moment on, until somebody activates it. What waits in the inbox stays "
        "there and cannot be claimed meanwhile.",
        "circle-pause",
    ),
    "ban": (
        "banned",
        "Ban",
        "Every check of it is denied from this moment on. Its keys are revoked for good, what it waits for is "
        "cancelled, and what was approved cannot be claimed. Use it for what must not come back.",
        "ban",
    ),
}


def _counted(found: QuerySet[Agent], request: MemberRequest) -> QuerySet[Agent]:
    """With how many tiers and working keys each has, and when it last asked something in this mode."""
    tiers = Permission.objects.filter(agent=OuterRef("pk")).order_by().values("agent").annotate(n=Count("pk"))
    keys = (
        ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), agent=OuterRef("pk"), revoked_at=None)
        .order_by()
        .values("agent")
        .annotate(n=Count("pk"))
    )
    asked = Event.objects.filter(
        organization_id=request.organization.pk,
        mode=request.mode,
        agent=OuterRef("slug"),
        at__gte=OuterRef("created_at"),
    ).order_by("-at", "-id")
    return found.annotate(
        tiers=Subquery(tiers.values("n")),
        keys=Subquery(keys.values("n")),
        active_at=Subquery(asked.values("at")[:1]),
    )


@requires("agents:read")
def agent_list(request: MemberRequest) -> HttpResponse:
    """Agents, searched by name and purpose, by status."""
    query, status = request.GET.get("q", "").strip(), request.GET.get("status", "")
    every = agents_of(request)
    found = every
    if query:
        words = Q(slug__icontains=query) | Q(name__icontains=query) | Q(purpose__icontains=query)
        found = found.filter(words)
    counts = dict(found.order_by().values_list("status").annotate(n=Count("pk")))
    if status in Agent.Status.values:
        found = found.filter(status=status)
    facets = [("", "All", sum(counts.values()))]
    facets += [(value, str(label), counts.get(value, 0)) for value, label in Agent.Status.choices]
    page = Paginator(_counted(found, request).order_by(F("status").asc(), "slug"), PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "page": page,
        "query": query,
        "status": status,
        "facets": facets,
        "any": bool(page) or every.exists(),
        "snippet": SNIPPET,
        "may_write": request.membership.may("agents:write"),
    }
    return render(request, "agents/list.html", context)


@requires("agents:write")
def agent_new(request: MemberRequest) -> HttpResponse:
    """A new agent."""
    form = AgentForm(request.POST if request.method == "POST" else None, organization=request.organization)
    if request.method == "POST" and form.is_valid():
        made: list[Agent] = []

        def create() -> None:
            made.append(agents.create_agent(organization=request.organization, by=request.membership, **form.values()))

        save(form, create, fresh=lambda: None)
        if made:
            messages.success(request, f"{made[0].name} is there. It may do nothing until you add tiers.")
            return redirect("agents:detail", made[0].slug)
    return render(request, "agents/edit.html", {"form": form}, status=status_of(form))


@requires("agents:write")
def agent_edit(request: MemberRequest, slug: str) -> HttpResponse:
    """What is said of an agent."""
    agent = find_agent(request, slug)
    form = AgentForm(
        request.POST if request.method == "POST" else None,
        organization=request.organization,
        instance=find_agent(request, slug),
    )
    faster: Faster | None = None
    if request.method == "POST" and form.is_valid():

        def change() -> None:
            agents.change_agent(
                agent=agent, by=request.membership, expected=form.cleaned_data["token"], **form.values()
            )

        faster = save(form, change, fresh=lambda: agents_of(request).filter(pk=agent.pk).first())
        if form.is_valid():
            messages.success(request, "Saved.")
            return redirect("agents:about", slug)
    context = {"form": form, "agent": agent, "faster": faster}
    return render(request, "agents/edit.html", context, status=status_of(form, faster))


@requires("agents:write")
def agent_status(request: MemberRequest, slug: str, verb: str) -> HttpResponse:
    """Asks, then activates, suspends or bans."""
    if verb not in STATUSES:
        raise Http404
    agent = find_agent(request, slug)
    status, label, words, icon = STATUSES[verb]
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with told(request, f"{agent.name} is {status} now."):
            agents.set_status(agent=agent, by=request.membership, status=status, reason=form.cleaned_data["reason"])
        return redirect("agents:detail", slug)
    context = {
        "agent": agent,
        "form": form,
        "title": f"{label} {agent.name}?",
        "words": words,
        "button": label,
        "icon": icon,
        "danger": verb != "activate",
        "back": redirect("agents:detail", slug).url,
    }
    return render(request, "agents/confirm.html", context, status=status_of(None))


@requires("agents:write")
def agent_delete(request: MemberRequest, slug: str) -> HttpResponse:
    """Asks, then deletes."""
    agent = find_agent(request, slug)
    if request.method == "POST":
        try:
            agents.delete_agent(agent=agent, by=request.membership, expected=request.POST.get("token", ""))
        except Refused as error:
            messages.error(request, f"{error} Look at it again before you delete it.")
            return redirect("agents:detail", slug)
        messages.success(request, f"{agent.name} is deleted. Its approvals and its record stay.")
        return redirect("agents:list")
    context = {
        "agent": agent,
        "title": f"Delete {agent.name}?",
        "words": f"Its {_many(agent.permissions.count(), 'tier')} and {_many(agent.api_keys.count(), 'key')} are "
        "deleted for good: whatever runs with them is refused from this moment on. Its approvals and its record stay.",
        "button": "Delete the agent",
        "icon": "trash-2",
        "danger": True,
        "token": token(agent),
        "back": redirect("agents:detail", slug).url,
    }
    return render(request, "agents/confirm.html", context)


@require_POST
@requires("agents:write")
def agent_audited(request: MemberRequest, slug: str) -> HttpResponse:
    """Says that this person has reviewed the agent."""
    with told(request, "Marked as audited by you, now."):
        agents.mark_audited(agent=find_agent(request, slug), by=request.membership)
    return redirect("agents:detail", slug)


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
