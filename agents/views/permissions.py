"""All tiers of the organization: what needs attention, what there is, what changed."""

from itertools import groupby

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from accounts.access import requires
from accounts.requests import MemberRequest
from agents.models import Permission, PolicyVersion
from agents.models.permission import ORDER
from agents.review import Finding, last_uses, review
from agents.views.detail import entries
from audit.clock import database_now

PAGE = 50
VERSIONS = 20


@requires("agents:read")
def permission_list(request: MemberRequest) -> HttpResponse:
    """Every tier, with filters; above them what a reviewer should look at."""
    query, effect = request.GET.get("q", "").strip(), request.GET.get("effect", "")
    every = Permission.objects.filter(agent__organization=request.organization, agent__deleted_at=None)
    found = every.select_related("agent", "approval_rule")
    if query:
        found = found.filter(
            Q(action__icontains=query) | Q(agent__slug__icontains=query) | Q(agent__name__icontains=query)
        )
    facets = [("", "All", found.count())]
    facets += [(value, str(label), found.filter(effect=value).count()) for value, label in Permission.Effect.choices]
    if effect in Permission.Effect.values:
        found = found.filter(effect=effect)
    page = Paginator(found.order_by("agent__slug", *ORDER), PAGE).get_page(request.GET.get("page"))
    uses = last_uses(request.organization, page)
    findings = review(request.organization)
    context = {
        "page": page,
        "rows": [(row, uses.get(row)) for row in page],
        "query": query,
        "effect": effect,
        "facets": facets,
        "any": bool(page) or every.exists(),
        "findings": _grouped(findings),
        "now": database_now(),
        "may_write": request.membership.may("agents:write"),
    }
    return render(request, "agents/permissions.html", context)


def _grouped(findings: list[Finding]) -> list[tuple[Finding, list[str]]]:
    """One line for each thing, with everything that is to be said of it; agent by agent."""

    def thing(finding: Finding) -> tuple[str, str, str]:
        agent, tier, key = finding.agent, finding.permission, finding.key
        return agent.slug if agent else "", f"{tier.action} {tier.pk}" if tier else "", str(key.pk) if key else ""

    groups = [list(group) for _, group in groupby(sorted(findings, key=thing), key=thing)]
    return [(group[0], [finding.text for finding in group]) for group in groups]


@requires("agents:read")
def version_list(request: MemberRequest) -> HttpResponse:
    """Policy versions, newest first, each with what it changed."""
    found = PolicyVersion.objects.filter(organization=request.organization).select_related("created_by", "agent")
    page = Paginator(found, VERSIONS).get_page(request.GET.get("page"))
    context = {"page": page, "entries": entries(request, list(page)), "nav": "permissions"}
    return render(request, "agents/versions.html", context)


@requires("agents:read")
def version_body(request: MemberRequest, number: int) -> HttpResponse:
    """One version's exact content: what its name is the hash of."""
    version = get_object_or_404(PolicyVersion, organization=request.organization, number=number)
    response = HttpResponse(version.content, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="policy-{version.number}-{version.version}.json"'
    return response
