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
from approvals.slack.verify import Forged, check, read
from notifications.models import SlackApp

log = structlog.get_logger(__name__)
Handler = Callable[[SlackApp, Mapping[str, Any]], Reply]


def _door(handle: Handler) -> Callable[[HttpRequest], HttpResponse]:
    """A view that verifies, handles in one transaction with the proof that the call was taken, and answers."""

    @csrf_exempt
    @login_not_required
    @never_cache
    @require_POST
    def view(request: HttpRequest) -> HttpResponse:
        try:
            signed = read(request)
            with transaction.atomic():
                call = check(signed)
                if call.app is None:
                    return JsonResponse({"challenge": str(call.payload.get("challenge", ""))[:200]})
                reply = handle(call.app, call.payload) if call.is_new else Reply()
        except Forged as forged:
            log.warning("a request that is not Slack's", why=str(forged), path=request.path)
            return HttpResponse(status=401)
        if reply.after:
            reply.after()
        return JsonResponse(reply.body) if reply.body else HttpResponse(status=200)

    return view


interactions = _door(actions.interaction)
commands = _door(actions.command)
events = _door(actions.event)
