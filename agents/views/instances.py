"""AAP instances of an agent, and the tokens that make them. A token is on one page, once."""

from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import private, told, told_in
from agents.forms.provisioner import ProvisionerForm
from agents.models import Instance
from agents.services import instances, provisioners
from agents.views.detail import tabs
from agents.views.finding import find_agent, find_instance, find_provisioner
from agents.views.saving import status_of
from audit.clock import database_now

SHOWN = 200  # instances of one kind on the page


@requires("agents:read")
def instance_list(request: MemberRequest, slug: str) -> HttpResponse:
    """The instances of one agent and mode, working and retired, and its provisioner tokens."""
    agent, now = find_agent(request, slug), database_now()
    found = Instance.objects.filter(key__agent=agent, key__mode=request.mode).select_related("key", "provisioner")
    tokens = agent.provisioners.filter(mode=request.mode).select_related("created_by")
    context = {
        "working": list(found.filter(retired_at=None).order_by("-key__created_at")[:SHOWN]),
        "retired": list(found.filter(retired_at__isnull=False).order_by("-retired_at")[:SHOWN]),
        "tokens": [
            (token, bool(token.revoked_at or (token.expires_at and token.expires_at <= now))) for token in tokens
        ],
    }
    return render(request, "agents/instances.html", tabs(request, agent) | context)


@requires("agents:write")
def token_new(request: MemberRequest, slug: str) -> HttpResponse:
    """A new provisioner token; the answer to the form is the only page that ever shows it."""
    agent = find_agent(request, slug)
    form = ProvisionerForm(
        request.POST if request.method == "POST" else None,
        organization=request.organization,
        initial={"mode": request.mode},
    )
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            made = provisioners.create_provisioner(agent=agent, by=request.membership, **form.values())
            context = {"agent": agent, "made": made, "base_url": f"{settings.SITE_URL}/aap"}
            return private(render(request, "agents/provisioner_made.html", context))
    return render(request, "agents/provisioner_new.html", {"form": form, "agent": agent}, status=status_of(form))


@requires("agents:write")
def token_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then revokes."""
    token = find_provisioner(request, pk)
    back = redirect("agents:instances", token.agent.slug)
    if request.method == "POST":
        with told(request, f"{token.name} is revoked: it makes and manages no instance any more."):
            provisioners.revoke_provisioner(provisioner=token, by=request.membership)
        return back
    context = {
        "agent": token.agent,
        "title": f"Revoke {token.name}?",
        "words": f"{token.shown} opens nothing from this moment on, for ever. The instances that it made go on working:"
        " retire those that should not.",
        "button": "Revoke the token",
        "icon": "circle-slash",
        "danger": True,
        "back": back.url,
    }
    return render(request, "agents/confirm.html", context)


@requires("agents:write")
def instance_retire(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then retires."""
    instance = find_instance(request, pk)
    agent = instance.key.agent
    back = redirect("agents:instances", agent.slug) if agent else redirect("agents:list")
    if request.method == "POST":
        with told(request, f"{instance.key.name} is retired."):
            instances.retire(instance=instance, by=request.membership)
        return back
    context = {
        "agent": agent,
        "title": f"Retire {instance.key.name}?",
        "words": "Its credential opens nothing from this moment on, what it waits for is cancelled, and its receiver"
        " is told nothing more. It cannot be brought back; its platform can make another.",
        "button": "Retire the instance",
        "icon": "unplug",
        "danger": True,
        "back": back.url,
    }
    return render(request, "agents/confirm.html", context)
