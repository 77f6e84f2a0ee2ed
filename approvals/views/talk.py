"""What people say about a request, and the evidence that came with it."""

from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.access import requires
from accounts.models import User
from approvals import comments, rules
from approvals.dossier import talk
from approvals.models import Approval, Comment
from approvals.views.detail import find, in_inbox, show
from audit.ids import read_id


@require_POST
@never_cache
@vary_on_headers("HX-Request")
@requires("approvals:read")
def comment(request: HttpRequest, apr_id: str) -> HttpResponse:
    """Adds a comment or a question. Whatever refuses, what was typed stays."""
    approval = find(request, apr_id)
    text, question = request.POST.get("text", ""), bool(request.POST.get("question"))
    try:
        said = comments.comment(
            approval_id=approval.id,
            by=cast(User, request.user),
            organization=request.organization,  # type: ignore[attr-defined]
            text=text,
            question=question,
            evidence=_evidence(request),
            via="browser",
        )
    except rules.Refused as refused:
        status = 409 if request.htmx and refused.status == 403 else refused.status  # type: ignore[attr-defined]
        typed: dict[str, Any] = {"unsaid": refused, "text": text, "question": question}
        if request.htmx:  # type: ignore[attr-defined]
            return _fragment(request, find(request, apr_id), status, **typed)
        return show(request, find(request, apr_id), status=status, **typed)
    words = came_to(said)
    if request.htmx:  # type: ignore[attr-defined]
        return _fragment(request, find(request, apr_id), 200, heard=words)
    messages.success(request, words)
    return redirect(reverse("approvals:detail", args=[apr_id]) + "#conversation")


def came_to(said: Comment) -> str:
    """What became of a comment, in a sentence."""
    told = f" {len(said.mentions)} {'person is' if len(said.mentions) == 1 else 'people are'} told by mail."
    begun = "The agent can read your question." if said.kind == "question" else "Your comment is kept."
    return begun + (told if said.mentions else "")


def _evidence(request: HttpRequest) -> comments.Evidence | None:
    """The file that came along. Raises rules.Incomplete."""
    sent: Any = request.FILES.get("evidence")
    if not sent:
        return None
    return comments.Evidence.read(sent.name or "", sent.read(comments.EVIDENCE_LIMIT + 1))


def _fragment(request: HttpRequest, approval: Approval, status: int, **more: Any) -> HttpResponse:
    """The conversation alone: a decision that is being written beside it stays as it is."""
    membership = request.membership  # type: ignore[attr-defined]
    facts = {"talk": talk(approval, membership), "approval": approval, "in_inbox": in_inbox(request), **more}
    return render(request, "approvals/_conversation.html", facts, status=status)


@require_safe
@never_cache
@requires("approvals:read")
def evidence(request: HttpRequest, apr_id: str, cmt_id: str) -> HttpResponse:
    """What came with a comment, as a plain text to keep: never shown by the browser as anything else."""
    comment_id = read_id("cmt", cmt_id)
    said = find(request, apr_id).comments.filter(id=comment_id).first() if comment_id else None
    if said is None or not said.evidence:
        raise Http404
    answer = HttpResponse(said.evidence, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{said.comment_id}.txt"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
