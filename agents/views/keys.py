"""Keys: of one agent, of the organization; create, roll, revoke. A secret is on one page, once."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import private, told, told_in
from agents import policy
from agents.forms.key import KeyForm, RollForm
from agents.models import ApiKey
from agents.services import keys
from agents.views.detail import tabs
from agents.views.finding import agents_of, find_agent, find_key
from agents.views.saving import status_of
from audit.clock import database_now

OLD = timedelta(days=90)


def _listed(found: QuerySet[ApiKey], request: MemberRequest) -> dict[str, Any]:
    """Pairs of a key and whether it is due for rolling: the working ones; the others are kept to be seen, folded."""
    now = database_now()
    working, over = [], []
    for key in found.select_related("agent", "created_by", "rolled_to").order_by("-created_at"):
        if key.revoked_at or (key.expires_at and key.expires_at <= now):
            over.append((key, False))
        else:
            working.append((key, key.rolled_to_id is None and key.created_at < now - OLD))
    return {
        "working": working,
        "over": over,
        "may_write": request.membership.may("agents:write"),
        "old_days": OLD.days,
    }


@requires("agents:read")
def agent_keys(request: MemberRequest, slug: str) -> HttpResponse:
    """The keys that speak for one agent: its own, and those of every agent; not those of its AAP instances."""
    agent = find_agent(request, slug)
    found = request.organization.api_keys.filter(Q(agent=agent) | Q(agent=None), instance=None)
    return render(request, "agents/agent_keys.html", tabs(request, agent) | _listed(found, request))


@requires("agents:read")
def key_list(request: MemberRequest) -> HttpResponse:
    """Every key of the organization, but those of AAP instances: they are on their agent's page."""
    found = request.organization.api_keys.filter(Q(agent=None) | Q(agent__deleted_at=None), instance=None)
    return render(request, "agents/keys.html", _listed(found, request))


@requires("agents:write")
def key_new(request: MemberRequest) -> HttpResponse:
    """A new key; the answer to the form is the only page that ever shows it."""
    agent = agents_of(request).filter(slug=request.GET.get("agent", "")).first()
    form = KeyForm(request.POST if request.method == "POST" else None, organization=request.organization, agent=agent)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            made = keys.create_key(organization=request.organization, by=request.membership, **form.values())
            return _shown(request, made)
    return render(request, "agents/key_new.html", {"form": form, "agent": agent}, status=status_of(form))


@requires("agents:write")
def key_roll(request: MemberRequest, pk: UUID) -> HttpResponse:
    """A new key for an old one, which goes on working for a while."""
    key = find_key(request, pk)
    form = RollForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            made = keys.roll_key(key=key, by=request.membership, overlap_hours=form.cleaned_data["overlap_hours"])
            key.refresh_from_db()
            return _shown(request, made, old=key)
    return render(request, "agents/key_roll.html", {"form": form, "key": key}, status=status_of(form))


@requires("agents:write")
def key_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then revokes."""
    key = find_key(request, pk)
    back = _home_of(key)
    if request.method == "POST":
        with told(request, f"{key.name} is revoked: it opens nothing any more."):
            keys.revoke_key(key=key, by=request.membership)
        return redirect(back)
    context = {
        "agent": key.agent,
        "title": f"Revoke {key.name}?",
        "words": f"{key.shown} opens nothing from this moment on, for ever: every program that uses it is refused. "
        "To replace a key without a gap, roll it instead.",
        "button": "Revoke the key",
        "icon": "circle-slash",
        "danger": True,
        "back": back,
    }
    return render(request, "agents/confirm.html", context)


def _home_of(key: ApiKey) -> str:
    url: str = redirect("agents:agent_keys", key.agent.slug).url if key.agent else redirect("agents:keys").url
    return url


def _shown(request: MemberRequest, made: keys.Created, old: ApiKey | None = None) -> HttpResponse:
    agent = made.key.agent or agents_of(request).first()
    tiers = [tier.action for tier in agent.permissions.all() if policy.is_action(tier.action)] if agent else []
    body = {
        "agent_id": agent.slug if agent else "support-bot",
        "action": tiers[0] if tiers else "email.send",
        "context": {"amount": 20},
    }
    context = {
        "key": made.key,
        "secret": made.secret,
        "old": old,
        "back": _home_of(made.key),
        "environment": f"AGENTWARDEN_API_KEY={made.secret}\nAGENTWARDEN_BASE_URL={settings.SITE_URL}",
        "curl": f"curl {settings.SITE_URL}/sdk/check -H 'X-API-Key: {made.secret}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(body)}'",
    }
    return private(render(request, "agents/key_made.html", context))
