"""Where Slack knocks: /slack/interactions, /slack/commands, /slack/events. What is not Slack's gets 401."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from approvals.slack import actions
from approvals.slack.actions import Reply
from approvals.slack.verify import Forged, check, read, take, workspace
from notifications.models import SlackApp
from notifications.slack.apps import identify
from notifications.slack.client import within

log = structlog.get_logger(__name__)
BUDGET = 2.5  # seconds for what we ask of Slack meanwhile: it waits three for our answer
Handler = Callable[[SlackApp, Mapping[str, Any]], Reply]


def _door(handle: Handler) -> Callable[[HttpRequest], HttpResponse]:
    """A view that verifies, handles in one transaction with the proof that the call was taken, and answers."""

    @csrf_exempt
    @login_not_required
    @never_cache
    @require_POST
    def view(request: HttpRequest) -> HttpResponse:
        try:
            with within(BUDGET):
                return _answer(request, handle)
        except Forged as forged:
            log.warning("a request that is not Slack's", why=str(forged), path=request.path)
            return HttpResponse(status=401)

    return view


def _answer(request: HttpRequest, handle: Handler) -> HttpResponse:
    signed = read(request)
    with transaction.atomic():
        call = check(signed)
        if call.app is None:
            return JsonResponse({"challenge": str(call.payload.get("challenge", ""))[:200]})
        reply = handle(call.app, call.payload) if call.is_new else Reply()
    if reply.after:
        reply.after()
    return JsonResponse(reply.body) if reply.body else HttpResponse(status=200)


interactions = _door(actions.interaction)
commands = _door(actions.command)
events = _door(actions.event)

_KINDS = {"interactive": actions.interaction, "slash_commands": actions.command, "events_api": actions.event}


def heard(
    app: SlackApp, kind: str, envelope: str, payload: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, Callable[[], None] | None]:
    """The same, by Socket Mode: the answer's body, and what is done after it. An envelope counts once."""
    handle = _KINDS.get(kind)
    enterprise, team = workspace(payload)
    if handle is None or identify(app).team_id != team or (enterprise and app.enterprise_id not in ("", enterprise)):
        return None, None
    with transaction.atomic():
        if not take(f"envelope:{envelope}"):
            return None, None
        reply = handle(app, payload)
    return reply.body, reply.after
