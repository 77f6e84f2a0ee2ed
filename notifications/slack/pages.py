"""Pages of Slack: connecting a workspace, and linking and unlinking oneself."""

import secrets
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import requires
from accounts.models import User
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.trail import trail_of
from accounts.views.answers import status_of, told, told_in
from audit.clock import database_now
from audit.ids import show_id
from notifications.models import Channel, SlackApp, SlackLink
from notifications.slack import apps, links
from notifications.slack.client import SlackError, ask
from notifications.slack.manifest import SCOPES, manifest
from notifications.slack.socket import is_held

STATE = "slack_oauth_state"  # in the session


def _secret(label: str, prefix: str, help_text: str) -> forms.CharField:
    attributes = {"autocomplete": "off", "spellcheck": "false", "placeholder": prefix}
    return forms.CharField(
        label=label, required=False, max_length=500, help_text=help_text, widget=forms.PasswordInput(attrs=attributes)
    )


class SlackForm(forms.Form):
    """The secrets of an app. Those stored are never shown; a field left empty keeps what is stored."""

    bot_token = _secret("Bot token", "xoxb-…", "On the page OAuth &amp; Permissions, after “Install to workspace”.")
    signing_secret = _secret("Signing secret", "", "On the page Basic Information. Not needed with Socket Mode.")
    app_token = _secret(
        "App token",
        "xapp-…",
        "Only for Socket Mode: on the page Basic Information, an app-level token with connections:write.",
    )

    def __init__(self, *args: Any, is_connected: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["bot_token"].required = not is_connected
        self.fields["bot_token"].error_messages["required"] = "Enter the bot token: it begins with xoxb-."

    def clean_app_token(self) -> str:
        token = str(self.cleaned_data["app_token"])
        if token and not token.startswith("xapp-"):
            raise forms.ValidationError("That is not an app token: one begins with xapp-.")
        return token


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("settings:read")
def settings_page(request: MemberRequest) -> HttpResponse:
    """The manifest, the secrets, the state of the connection, the channels."""
    may_write = request.membership.may("settings:write")
    from_environment = apps.of_environment() and request.organization == apps.first_organization()
    app_now = SlackApp.objects.filter(organization=request.organization).first()
    form = SlackForm(request.POST if request.method == "POST" else None, is_connected=app_now is not None)
    if request.method == "POST" and not may_write:
        raise PermissionDenied("Only owners and admins connect Slack.")
    if request.method == "POST":
        _check_by_hand(request)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            app = apps.connect(organization=request.organization, by=request.membership, **form.cleaned_data)
            messages.success(request, f"Connected to {app}.")
            return redirect("slack:settings")
    found = Channel.objects.filter(organization=request.organization, transport="slack")
    facts: dict[str, Any] = {
        "app": app_now,
        "form": form,
        "may_write": may_write,
        "from_environment": from_environment,
        "is_held": app_now is not None and is_held(app_now, database_now()),
        "may_install": bool(settings.SLACK_CLIENT_ID and settings.SLACK_CLIENT_SECRET),
        "manifest": manifest(socket_mode=False),
        "socket_manifest": manifest(socket_mode=True),
        "channels": [(channel, show_id("chn", channel.pk)) for channel in found],
        "links": SlackLink.objects.filter(
            user__memberships__organization=request.organization, team_id=app_now.team_id if app_now else ""
        ).count(),
        "trail": trail_of(request.organization, "slk", app_now.pk) if app_now else [],
        "nav": "settings",
    }
    return render(request, "notifications/slack.html", facts, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def disconnect(request: MemberRequest) -> HttpResponse:
    """Asks, then forgets the installation."""
    _check_by_hand(request)
    app = SlackApp.objects.filter(organization=request.organization).first()
    if app is None:
        return redirect("slack:settings")
    if request.method == "POST":
        with told(request, "Slack is disconnected. Warden has forgotten its secrets."):
            apps.disconnect(organization=request.organization, by=request.membership)
        return redirect("slack:settings")
    return render(request, "notifications/slack_disconnect.html", {"app": app, "nav": "settings"})


@require_GET
@never_cache
@requires("settings:write")
def install(request: MemberRequest) -> HttpResponse:
    """To Slack's own page, with a state that this session alone can bring back, once."""
    _check_by_hand(request)
    if not settings.SLACK_CLIENT_ID:
        return redirect("slack:settings")
    state = secrets.token_urlsafe(32)
    request.session[STATE] = {"state": state, "organization": str(request.organization.pk)}
    query = {
        "client_id": settings.SLACK_CLIENT_ID,
        "scope": ",".join(SCOPES),
        "redirect_uri": _callback(),
        "state": state,
    }
    site = settings.SLACK_API_URL.rstrip("/").removesuffix("/api")
    return redirect(f"{site}/oauth/v2/authorize?{urlencode(query)}")


@require_GET
@never_cache
@requires("settings:write")
def oauth(request: MemberRequest) -> HttpResponse:
    """Slack sends the admin back here with a code, which is worth a bot token."""
    _check_by_hand(request)
    kept = request.session.pop(STATE, None) or {}
    given = request.GET.get("state", "")
    if not kept or not constant_time_compare(kept["state"], given):
        messages.error(request, "This answer of Slack belongs to no installation that you began here. Begin again.")
        return redirect("slack:settings")
    if kept["organization"] != str(request.organization.pk):
        messages.error(request, "You changed the organization on the way. Begin again.")
        return redirect("slack:settings")
    if request.GET.get("error"):
        messages.error(request, "Slack was not connected: it was cancelled there.")
        return redirect("slack:settings")
    try:
        app = apps.connect(
            organization=request.organization, by=request.membership, bot_token=_token(request.GET.get("code", ""))
        )
        messages.success(request, f"Connected to {app}.")
    except (Refused, SlackError) as error:
        messages.error(request, str(error))
    return redirect("slack:settings")


def _check_by_hand(request: MemberRequest) -> None:
    try:
        apps.check_by_hand(request.organization)
    except Refused as refused:
        raise PermissionDenied(str(refused)) from refused


def _token(code: str) -> str:
    answer = ask(
        None,
        "oauth.v2.access",
        client_id=settings.SLACK_CLIENT_ID,
        client_secret=settings.SLACK_CLIENT_SECRET,
        code=code,
        redirect_uri=_callback(),
    )
    return str(answer.get("access_token", ""))


def _callback() -> str:
    return f"{settings.SITE_URL}/slack/oauth"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Shows who in Slack wants to be who is logged in here; the POST makes it so."""
    user = cast(User, request.user)
    try:
        if request.method == "POST":
            links.confirm(token=token, by=user)
            return render(request, "notifications/slack_linked.html")
        read, app = links.read_offer(token)
    except Refused as refused:
        return render(request, "notifications/slack_link_void.html", {"why": str(refused)}, status=410)
    name = links.name_in_slack(app, read.slack_user_id)
    return render(request, "notifications/slack_link.html", {"app": app, "name": name})


@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """One's own links."""
    own = SlackLink.objects.filter(user=cast(User, request.user)).order_by("id")
    names = dict(SlackApp.objects.filter(team_id__in=own.values("team_id")).values_list("team_id", "team_name"))
    rows = [(each, names.get(each.team_id) or each.team_id) for each in own]
    return render(request, "notifications/slack_people.html", {"links": rows})


@require_POST
def unlink(request: HttpRequest, pk: int) -> HttpResponse:
    links.unlink(user=cast(User, request.user), link_id=pk)
    messages.success(request, "Unlinked. This Slack user decides nothing for you any more.")
    return redirect("slack:people")
