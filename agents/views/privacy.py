"""Privacy: what is stored withheld or encrypted, and erasing a subject."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from accounts import rules
from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import status_of, told, told_in
from agents.forms.privacy import EraseForm, PrivacyRuleForm, SubjectForm
from agents.models import PrivacyRule
from agents.services import privacy
from agents.services.privacy import ERASE, WRITE


@requires("settings:read")
def page(request: MemberRequest) -> HttpResponse:
    """The rules, and the form of another."""
    membership = request.membership
    may_write = membership.may(WRITE)
    form = PrivacyRuleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and not may_write:
        raise PermissionDenied(rules.why_not(rules.check_ability, membership.role, WRITE))
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            privacy.add_rule(organization=request.organization, by=membership, **form.cleaned_data)
            messages.success(request, "Saved. What is asked and logged from now on is stored so.")
            return redirect("agents:privacy")
    context = {
        "form": form,
        "rules": PrivacyRule.objects.filter(organization=request.organization),
        "may_write": may_write,
        "may_erase": membership.may(ERASE),
        "nav": "settings",
    }
    return render(request, "agents/privacy.html", context, status=status_of(form))


@requires(WRITE)
def rule_delete(request: MemberRequest, pk: str) -> HttpResponse:
    """Asks, then deletes a rule."""
    rule = PrivacyRule.objects.filter(organization=request.organization, pk=pk).first()
    if rule is None:
        raise Http404
    if request.method == "POST":
        with told(request, "Deleted. What was stored before stays as it is."):
            privacy.delete_rule(rule=rule, by=request.membership)
        return redirect("agents:privacy")
    return render(request, "agents/privacy_delete.html", {"rule": rule, "nav": "settings"})


@never_cache
@requires(ERASE)
def erase(request: MemberRequest) -> HttpResponse:
    """Two steps: which subject, and then the reason, and the subject again."""
    asked = SubjectForm(request.POST or None)
    form = EraseForm(request.POST) if "typed" in request.POST else None
    known = None
    shown = form or asked
    if request.method == "POST" and shown.is_valid():
        own, by = request.organization, request.membership
        with told_in(shown):
            if form:
                privacy.erase_subject(organization=own, by=by, **form.cleaned_data)
                messages.success(request, "Erased: nobody reads any more what was encrypted for this subject.")
                return redirect("agents:privacy")
            known = privacy.find_subject(organization=own, by=by, subject=asked.cleaned_data["subject"])
            if known is None:
                asked.add_error("subject", "Nothing is encrypted for this subject, or it was erased before.")
            else:
                form = EraseForm(initial={"subject": asked.cleaned_data["subject"].strip()})
    subject = str((form or asked)["subject"].value() or "")
    context = {"form": form or asked, "known": known, "sure": form is not None, "subject": subject, "nav": "settings"}
    return render(request, "agents/privacy_erase.html", context, status=status_of(shown))
