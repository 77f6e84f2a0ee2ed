"""One agent: its ladders with the simulator, and its other tabs."""

import json
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.access import requires
from accounts.requests import MemberRequest
from agents import board, history, policy
from agents.forms.tier import SimulateForm
from agents.gauges import gauges, looked
from agents.load import agent_of, load, permission_of
from agents.markdown import render as markdown
from agents.models import Agent, PolicyVersion
from agents.opa.simulating import tightened
from agents.review import due
from agents.services.writing import public_id
from agents.usage import usage
from agents.views.finding import find_agent
from agents.words import rule_sentence
from audit import queries
from audit.clock import database_now
from audit.ids import read_id

VERSIONS = 20
RECENT = 6


def tabs(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """What every page of an agent needs."""
    return {
        "agent": agent,
        "public_id": public_id(agent),
        "may_write": request.membership.may("agents:write"),  # type: ignore[attr-defined]
        "may_read_record": request.membership.may("logs:read"),  # type: ignore[attr-defined]
    }


@requires("agents:read")
def detail(request: MemberRequest, slug: str) -> HttpResponse:
    """The ladders, and what a check would come to. A simulation is posted: contexts belong into no address."""
    agent, now = find_agent(request, slug), database_now()
    tiers = list(agent.permissions.all())
    drawn = board.draw(tiers, now=now)
    names = [each.action for each in (*drawn.ladders, *drawn.singles)]
    form = SimulateForm(
        request.POST if request.method == "POST" else None,
        organization=request.organization,
        actions={*names, *(tier.action for tier in tiers if not policy.is_wildcard(tier.action))},
        initial={"action": names[0] if names else "", "context": '{"amount": 150}'},
    )
    result = None
    if request.method == "POST" and form.is_valid():
        result = simulate(request, agent, form.cleaned_data)
        hit = result["decision"].permission
        drawn = board.draw(tiers, now=now, hit=hit.id if hit else "")
    elif request.method == "POST":
        result = {"invalid": True}
    recent: list[Any] = []
    if request.membership.may("logs:read"):
        recent = queries.find(
            request.organization.pk, queries.Search(mode=request.mode, agent=agent.slug), size=RECENT
        ).events
    context = tabs(request, agent) | {"board": drawn, "form": form, "result": result, "recent": recent}
    context["gauges"] = gauges(agent_of(agent), request.mode, now)
    return render(request, "agents/detail.html", context, status=422 if form.is_bound and form.errors else 200)


def simulate(request: MemberRequest, agent: Agent, asked: dict[str, Any]) -> dict[str, Any]:
    """The decision on a check that nobody made, by the policy as it is now. Nothing is recorded."""
    loaded, now = load(request.organization.pk), database_now()
    wanted = policy.Request(
        agent.slug, asked["action"], asked["context"], asked["environment"] or None, asked["callee"] or None
    )
    decision = policy.decide(loaded.policy, wanted, now)
    decision = tightened(loaded, wanted, decision, request.mode)
    found = looked(loaded.policy.agents[agent.slug], decision, request.mode, now)
    rule = None
    if decision.outcome == "ask" and decision.permission:
        kept = loaded.permissions[decision.permission.id].rule
        rule = {"name": kept["name"], "sentence": rule_sentence(kept)}
    return {
        "decision": decision,
        "budgets": found,
        "rule": rule,
        "asked": asked,
        "context": json.dumps(asked["context"], ensure_ascii=False),
        "version": loaded.policy.version,
    }


@requires("agents:read")
def about(request: MemberRequest, slug: str) -> HttpResponse:
    """What it is for, whose it is, what it may do in words, how it is used, its documentation."""
    agent, now = find_agent(request, slug), database_now()
    context = {
        "documentation": markdown(agent.documentation),
        "words": [policy.describe(permission_of(tier)) for tier in agent.permissions.all()],
        "usage": usage(agent, now),
        "due_at": due(agent),
        "now": now,
    }
    return render(request, "agents/about.html", tabs(request, agent) | context)


@requires("logs:read")
def activity(request: MemberRequest, slug: str) -> HttpResponse:
    """What it asked and what was changed about it, newest first."""
    agent = find_agent(request, slug)
    after, before = (read_id("evt", request.GET.get(name, "")) for name in ("after", "before"))
    search = queries.Search(mode=request.mode, agent=agent.slug, since=agent.created_at)
    page = queries.find(request.organization.pk, search, after=after, before=before)
    return render(request, "agents/activity.html", tabs(request, agent) | {"page": page, "trail": page.events})


@requires("agents:read")
def agent_history(request: MemberRequest, slug: str) -> HttpResponse:
    """The policy versions that changed it."""
    agent = find_agent(request, slug)
    found = PolicyVersion.objects.filter(organization=request.organization, agent=agent)
    page = Paginator(found.select_related("created_by"), VERSIONS).get_page(request.GET.get("page"))
    context = {"page": page, "entries": entries(request, list(page), agent=str(agent.pk))}
    return render(request, "agents/history.html", tabs(request, agent) | context)


def entries(
    request: MemberRequest, versions: list[PolicyVersion], agent: str = ""
) -> list[tuple[PolicyVersion, list[history.Difference]]]:
    """Each version with what it changed, compared with the one before it."""
    numbers = [version.number - 1 for version in versions]
    earlier = Q(number__in=numbers, organization=request.organization)
    before = dict(PolicyVersion.objects.filter(earlier).values_list("number", "content"))
    rules = {str(pk): name for pk, name in request.organization.approval_rules.values_list("pk", "name")}
    return [
        (
            version,
            history.differences(
                json.loads(before[version.number - 1]) if version.number - 1 in before else None,
                json.loads(version.content),
                rules=rules,
                agent=agent,
            ),
        )
        for version in versions
    ]
