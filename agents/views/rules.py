"""Approval rules: list, create, edit, delete."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from agents.forms.rule import RuleForm
from agents.models import ApprovalRule
from agents.outlook import Staff, stuck_agent_words, stuck_words
from agents.services import rules
from agents.services.facts import token
from agents.views.finding import find_rule
from agents.views.saving import Faster, save, status_of
from agents.words import rule_sentence
from audit.ids import read_id


def preview(rule: ApprovalRule, staff: Staff) -> dict[str, object]:
    """A rule in words, who could decide under it now, and what stands in the way."""
    chances = staff.chances(rule)
    return {
        "words": rule_sentence(rule.snapshot()),
        "chances": [(each, [(user, staff.note(user, rule)) for user in each.people]) for each in chances],
        "stuck": stuck_words(chances) if staff.is_stuck(rule) else "",
        "agents": [] if staff.is_stuck(rule) else list(map(stuck_agent_words, staff.stuck_agents(rule))),
    }


def _preview_of(form: RuleForm) -> dict[str, object]:
    """The same of what is typed. Nothing where that cannot be said yet."""
    if form.is_bound and form.errors.keys() - {NON_FIELD_ERRORS, "name", "approvals"}:
        return {}
    return preview(form.instance, Staff(form.instance.organization))


def _named(text: str) -> list[UUID]:
    found = read_id("rul", text)
    return [found] if found else []


@require_POST
@requires("agents:write")
def rule_preview(request: MemberRequest) -> HttpResponse:
    """The fragment below the editor, while somebody fills it in."""
    rule = request.organization.approval_rules.filter(pk__in=_named(request.GET.get("rule", ""))).first()
    form = RuleForm(request.POST, organization=request.organization, instance=rule)
    return render(request, "agents/_rule_preview.html", {"preview": _preview_of(form)})


@requires("agents:read")
def rule_list(request: MemberRequest) -> HttpResponse:
    """Each rule as a sentence, and how many tiers use it."""
    asks = Count("permissions", filter=Q(permissions__effect="ask", permissions__agent__deleted_at=None))
    found = request.organization.approval_rules.annotate(used=asks)
    staff = Staff(request.organization)
    context = {
        "rules": [(rule, preview(rule, staff)) for rule in found],
        "may_write": request.membership.may("agents:write"),
        "nav": "permissions",
    }
    return render(request, "agents/rules.html", context)


@requires("agents:write")
def rule_new(request: MemberRequest) -> HttpResponse:
    """A new rule."""
    form = RuleForm(request.POST if request.method == "POST" else None, organization=request.organization)
    if request.method == "POST" and form.is_valid():
        save(
            form,
            lambda: rules.create_rule(organization=request.organization, by=request.membership, **form.values()),
            fresh=lambda: None,
        )
        if form.is_valid():
            messages.success(request, f"The rule {form.cleaned_data['name']} is there. Tiers can name it now.")
            return redirect("agents:rules")
    context = {"form": form, "preview": _preview_of(form), "nav": "permissions"}
    return render(request, "agents/rule.html", context, status=status_of(form))


@requires("agents:write")
def rule_edit(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Edits a rule for requests to come."""
    rule = find_rule(request, pk)
    form = RuleForm(
        request.POST if request.method == "POST" else None,
        organization=request.organization,
        instance=find_rule(request, pk),
    )
    faster: Faster | None = None
    if request.method == "POST" and form.is_valid():
        faster = save(
            form,
            lambda: rules.change_rule(
                rule=rule, by=request.membership, expected=form.cleaned_data["token"], **form.values()
            ),
            fresh=lambda: ApprovalRule.objects.filter(pk=pk).first(),
        )
        if form.is_valid():
            messages.success(request, "Saved. Requests that wait keep the rule they were made under.")
            return redirect("agents:rules")
    context = {"rule": rule, "form": form, "faster": faster, "preview": _preview_of(form), "nav": "permissions"}
    return render(request, "agents/rule.html", context, status=status_of(form, faster))


@requires("agents:write")
def rule_delete(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then deletes."""
    rule = find_rule(request, pk)
    if request.method == "POST":
        try:
            rules.delete_rule(rule=rule, by=request.membership, expected=request.POST.get("token", ""))
        except Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"Deleted the rule {rule.name}.")
        return redirect("agents:rules")
    context = {
        "title": f"Delete the rule {rule.name}?",
        "words": "Requests that wait keep the rule they were made under. A rule that tiers use cannot be deleted.",
        "button": "Delete the rule",
        "icon": "trash-2",
        "danger": True,
        "token": token(rule),
        "back": redirect("agents:rules").url,
        "nav": "permissions",
    }
    return render(request, "agents/confirm.html", context)
