"""The external OPA: what is asked, setting it, trying it, removing it."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.views.answers import told, told_in
from agents.code.reading import Broken
from agents.forms.external import ExternalForm
from agents.models import ExternalOpa
from agents.opa.gate import OpaSaid
from agents.services.external import remove_opa, set_opa, try_opa
from agents.services.proposals import propose_opa
from agents.views.saving import status_of


@requires("agents:read")
def external(request: MemberRequest) -> HttpResponse:
    """What is asked and how, and a form for those who may change it."""
    row = _row(request)
    typed = request.POST if request.method == "POST" else None
    form = ExternalForm(typed, instance=row)
    if typed is not None and request.membership.may("agents:write") and form.is_valid():
        with told_in(form):
            if _takes_two(request, row):
                content = ExternalOpa(organization=request.organization, **form.cleaned_data).facts.content
                return _proposed(request, content)
            set_opa(organization=request.organization, by=request.membership, **form.cleaned_data)
            messages.success(request, "It is asked from now on, about everything that would be allowed or asked.")
            return redirect("agents:external_opa")
    return _page(request, _row(request), form)


@require_POST
@requires("agents:write")
def external_try(request: MemberRequest) -> HttpResponse:
    """One question that means nothing, now."""
    row = _row(request)
    said = async_to_sync(try_opa)(row.facts) if row else None
    return _page(request, row, ExternalForm(instance=row), said)


@requires("agents:write")
def external_remove(request: MemberRequest) -> HttpResponse:
    """Asks, then removes it."""
    row = _row(request)
    if row is None:
        return redirect("agents:external_opa")
    two = _takes_two(request, row)
    if request.method == "POST" and two:
        try:
            return _proposed(request, None)
        except (Refused, ValidationError) as why_not:
            said = why_not.messages if isinstance(why_not, ValidationError) else [str(why_not)]
            messages.error(request, " ".join(said))
            return redirect("agents:external_opa")
    if request.method == "POST":
        with told(request, "No external OPA is asked any more."):
            remove_opa(organization=request.organization, by=request.membership)
        return redirect("agents:external_opa")
    context = {
        "title": "Ask it no more?",
        "words": f"What {row.url} denies or wants people to approve is then decided by the tiers alone.",
        "button": "Propose to remove" if two else "Remove",
        "icon": "shield-off",
        "danger": True,
        "back": "./..",
        "nav": "settings",
    }
    return render(request, "agents/confirm.html", context)


def _takes_two(request: MemberRequest, row: ExternalOpa | None) -> bool:
    """Adding one only tightens: that takes nobody else."""
    return row is not None and request.organization.policy_by_two


def _proposed(request: MemberRequest, content: dict[str, Any] | None) -> HttpResponse:
    """Proposes another external OPA, or none. Raises Refused, ValidationError."""
    try:
        made = propose_opa(organization=request.organization, by=request.membership, content=content)
    except Broken as broken:
        raise ValidationError({NON_FIELD_ERRORS: [each.message for each in broken.problems]}) from broken
    messages.success(request, "Proposed. It waits for somebody else.")
    return redirect("agents:proposal", made.proposal_id)


def _row(request: MemberRequest) -> ExternalOpa | None:
    rows = ExternalOpa.objects.filter(organization=request.organization)
    return rows.select_related("organization", "set_by").first()


def _page(
    request: MemberRequest, row: ExternalOpa | None, form: ExternalForm, said: OpaSaid | None = None
) -> HttpResponse:
    context = {
        "opa": row,
        "form": form,
        "said": said,
        "may_write": request.membership.may("agents:write"),
        "two": _takes_two(request, row),
        "nav": "settings",
    }
    return render(request, "agents/external_opa.html", context, status=status_of(form))
