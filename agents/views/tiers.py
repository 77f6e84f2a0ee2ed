"""Tiers: add, edit, delete; conditions checked while they are typed."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from agents import board, policy
from agents.forms.tier import TierForm
from agents.load import permission_of
from agents.models import Agent, Permission
from agents.outlook import Staff, stuck_agent_words, stuck_words
from agents.services import permissions
from agents.services.facts import token
from agents.views.finding import find_agent, find_tier
from agents.views.saving import Faster, save, status_of
from audit.clock import database_now

PREFILLED = ("action", "effect", "max_amount", "currency", "environment")


def check(text: str) -> dict[str, object]:
    """What is to be said of a condition: nothing, that it is fine, or what is wrong and where."""
    if not text.strip():
        return {"state": "empty"}
    try:
        policy.compile_condition(text)
    except policy.ConditionError as error:
        return {"state": "wrong", "error": error}
    return {"state": "fine"}


def preview(agent: Agent, form: TierForm, tier: Permission | None = None) -> dict[str, object]:
    """The ladder as it would be with what is typed, and the tier in words. Nothing where that cannot be said yet."""
    if form.is_bound and form.errors.keys() <= {NON_FIELD_ERRORS}:
        typed = Permission(agent=agent, **form.values())
    elif tier and not form.is_bound:
        typed = tier
    else:
        return {}
    if tier:
        typed.pk = tier.pk
    others = [each for each in agent.permissions.all() if each.pk != typed.pk]
    drawn = board.draw([*others, typed], now=database_now(), hit=str(typed.pk))
    (ladder,) = (each for each in drawn.all if any(rung.hit for rung in each.rungs))
    return {"ladder": ladder, "words": policy.describe(permission_of(typed)), "stuck": _stuck(agent, typed)}


def _stuck(agent: Agent, tier: Permission) -> str:
    """Why nobody could approve what it would ask, as people are now; empty where somebody could, or nobody is asked."""
    rule = tier.approval_rule or agent.organization.approval_rules.filter(is_default=True).first()
    if tier.effect != Permission.Effect.ASK or rule is None:
        return ""
    staff = Staff(agent.organization)
    if staff.is_stuck(rule):
        return f"The rule “{rule.name}” is one that nobody can satisfy. {stuck_words(staff.chances(rule))}"
    return stuck_agent_words(agent.slug) if staff.is_stuck_for(rule, agent) else ""


@require_POST
@requires("agents:write")
def tier_preview(request: MemberRequest, slug: str) -> HttpResponse:
    """The fragment beside the editor, while somebody fills it in."""
    agent = find_agent(request, slug)
    tier = next((each for each in agent.permissions.all() if str(each.pk) == request.GET.get("tier")), None)
    form = TierForm(request.POST, agent=agent, instance=tier and find_tier(request, slug, tier.pk))
    return render(request, "agents/_preview.html", {"preview": preview(agent, form, tier)})


@require_POST
@requires("agents:read")
def check_condition(request: MemberRequest) -> HttpResponse:
    """The fragment beside a condition that is being typed."""
    return render(request, "agents/_condition.html", {"check": check(request.POST.get("condition", ""))})


@requires("agents:write")
def tier_new(request: MemberRequest, slug: str) -> HttpResponse:
    """Adds a tier; the address may say what it begins with."""
    agent = find_agent(request, slug)
    initial = {name: request.GET[name][:200] for name in PREFILLED if name in request.GET}
    form = TierForm(
        request.POST if request.method == "POST" else None,
        agent=agent,
        initial={"risk": "low", "effect": "ask"} | initial,
    )
    if request.method == "POST" and form.is_valid():
        save(
            form,
            lambda: permissions.create_permission(agent=agent, by=request.membership, **form.values()),
            fresh=lambda: None,
        )
        if form.is_valid():
            messages.success(request, f"Added {form.cleaned_data['action']}. It decides from now on.")
            return redirect("agents:detail", slug)
    context = {
        "agent": agent,
        "form": form,
        "check": check(form["condition"].value() or ""),
        "preview": preview(agent, form),
    }
    return render(request, "agents/tier.html", context, status=status_of(form))


@requires("agents:write")
def tier_edit(request: MemberRequest, slug: str, pk: UUID) -> HttpResponse:
    """Edits a tier. What the person typed survives a conflict and even a deletion."""
    tier, agent = find_tier(request, slug, pk), find_agent(request, slug)
    form = TierForm(
        request.POST if request.method == "POST" else None, agent=agent, instance=find_tier(request, slug, pk)
    )
    faster: Faster | None = None
    if request.method == "POST" and form.is_valid():
        faster = save(
            form,
            lambda: permissions.change_permission(
                permission=tier, by=request.membership, expected=form.cleaned_data["token"], **form.values()
            ),
            fresh=lambda: Permission.objects.select_related("approval_rule").filter(pk=pk).first(),
        )
        if form.is_valid():
            messages.success(request, f"Changed {form.cleaned_data['action']}. It decides from now on.")
            return redirect("agents:detail", slug)
    context = {
        "agent": agent,
        "tier": tier,
        "form": form,
        "faster": faster,
        "check": check(form["condition"].value() or ""),
        "preview": preview(agent, form, tier),
    }
    return render(request, "agents/tier.html", context, status=status_of(form, faster))


@requires("agents:write")
def tier_delete(request: MemberRequest, slug: str, pk: UUID) -> HttpResponse:
    """Asks, then deletes."""
    tier = find_tier(request, slug, pk)
    if request.method == "POST":
        try:
            permissions.delete_permission(
                permission=tier, by=request.membership, expected=request.POST.get("token", "")
            )
        except Refused as error:
            messages.error(request, f"{error} Look at it again before you delete it.")
        else:
            messages.success(request, f"Deleted {tier.action}.")
        return redirect("agents:detail", slug)
    context = {
        "agent": tier.agent,
        "title": f"Delete {tier.action}?",
        "words": f"Now: {policy.describe(permission_of(tier))}. Without it, what no other tier permits is denied, and "
        "what was approved under it and not claimed yet cannot be claimed.",
        "button": "Delete the tier",
        "icon": "trash-2",
        "danger": True,
        "token": token(tier),
        "back": redirect("agents:detail", slug).url,
    }
    return render(request, "agents/confirm.html", context)
