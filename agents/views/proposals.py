"""Proposed changes of the policy: writing one, reading it, accepting and rejecting."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from agents.code.reading import Broken, File
from agents.code.state import current
from agents.code.writing import write
from agents.models import PolicyProposal
from agents.services import proposals
from audit.ids import read_id


@requires("agents:write")
def propose(request: MemberRequest) -> HttpResponse:
    """What there is as one file, to be changed and proposed. What is wrong with it is said by line; nothing is lost."""
    text, problems = request.POST.get("text", ""), []
    if request.method == "POST":
        try:
            made = proposals.propose(
                organization=request.organization, by=request.membership, files=[File("warden.yaml", text)]
            )
        except Broken as broken:
            problems = [str(each) for each in broken.problems]
        except Refused as why_not:
            problems = [str(why_not)]
        else:
            messages.success(request, "Proposed. It waits for somebody else.")
            return redirect("agents:proposal", made.proposal_id)
    else:
        text = write(current(request.organization))
    context = {"text": text, "problems": problems, "nav": "permissions"}
    return render(request, "agents/propose.html", context, status=422 if problems else 200)


@requires("agents:read")
def proposal_page(request: MemberRequest, proposal_id: str) -> HttpResponse:
    """What is proposed, in words and in full."""
    return _page(request, _find(request, proposal_id))


@require_POST
@requires("agents:write")
def proposal_accept(request: MemberRequest, proposal_id: str) -> HttpResponse:
    """Applies exactly what the page showed."""
    found = _find(request, proposal_id)
    try:
        proposals.accept(proposal=found, by=request.membership, digest=request.POST.get("digest", ""))
    except Broken as broken:
        return _page(request, found, str(broken))
    except Refused as why_not:
        return _page(request, found, str(why_not))
    messages.success(request, f"Applied: {found.summary}.")
    return redirect("agents:proposal", proposal_id)


@require_POST
@requires("agents:write")
def proposal_reject(request: MemberRequest, proposal_id: str) -> HttpResponse:
    """Applies nothing."""
    found = _find(request, proposal_id)
    try:
        proposals.reject(proposal=found, by=request.membership, reason=request.POST.get("reason", ""))
    except ValidationError as wrong:
        return _page(request, found, " ".join(wrong.messages))
    except Refused as why_not:
        return _page(request, found, str(why_not))
    messages.success(request, "Rejected. Nothing was changed.")
    return redirect("agents:proposal", proposal_id)


def _find(request: MemberRequest, proposal_id: str) -> PolicyProposal:
    rows = PolicyProposal.objects.filter(organization=request.organization)
    return get_object_or_404(
        rows.select_related("organization", "proposed_by", "decided_by"), pk=read_id("ppr", proposal_id)
    )


def _page(request: MemberRequest, found: PolicyProposal, refused: str = "") -> HttpResponse:
    context = {
        "proposal": found,
        "refused": refused,
        "mine": found.proposed_by_id == request.membership.user_id,
        "may_write": request.membership.may("agents:write") and found.state == PolicyProposal.State.WAITING,
        "nav": "permissions",
    }
    return render(request, "agents/proposal.html", context, status=409 if refused else 200)
