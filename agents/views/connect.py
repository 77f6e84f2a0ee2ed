"""Connect an agent: choose a framework, make a key, run the snippet, see the first request arrive."""

from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import private, told
from agents.connecting import FRAMEWORKS, asked_of
from agents.services import keys
from agents.views.detail import tabs
from agents.views.finding import agents_of, find_agent
from audit import queries
from audit.clock import database_now
from audit.models import Event

SHOWN = 5
LONGEST = timedelta(days=1)
LIFETIME = timedelta(days=90)  # of a key, as the form for keys suggests


@requires("agents:read")
def connect_start(request: MemberRequest) -> HttpResponse:
    """Which agent? Where there is one, it is that."""
    agents = list(agents_of(request).order_by("slug")[:100])
    if len(agents) == 1:
        return redirect("agents:connect", agents[0].slug)
    context = {"agents": agents, "may_write": request.membership.may("agents:write")}
    return render(request, "agents/connect_start.html", context)


@requires("agents:read")
def connect(request: MemberRequest, slug: str) -> HttpResponse:
    """The steps for one framework. Posted, a key is made, of the mode the pages are in; the answer alone shows it."""
    agent, now = find_agent(request, slug), database_now()
    chosen = request.GET.get("with", "")
    chosen = chosen if chosen in FRAMEWORKS else next(iter(FRAMEWORKS))
    framework = FRAMEWORKS[chosen]
    made = None
    if request.method == "POST" and request.membership.may("agents:write"):
        with told(request, "The key is made: copy it now."):
            made = keys.create_key(
                organization=request.organization,
                by=request.membership,
                mode=request.mode,
                name=f"{framework.label}, connected {now:%d %b %Y}",
                agent=agent,
                scopes=list(framework.scopes),
                expires_at=now + LIFETIME,
            )
    asked = asked_of(agent, settings.SITE_URL, made.secret if made else "test_…" if request.mode == "test" else "ak_…")
    context = {
        "frameworks": FRAMEWORKS,
        "chosen": chosen,
        "framework": framework,
        "steps": framework.steps(asked),
        "trial": framework.trial(asked),
        "made": made,
        "arrived": _arrived(request, agent.slug, now) if request.membership.may("logs:read") else [],
        "since": now.isoformat(),
    }
    response = render(request, "agents/connect.html", tabs(request, agent) | context)
    return private(response) if made else response


@requires("logs:read")
def connect_arrived(request: MemberRequest, slug: str) -> HttpResponse:
    """What the agent has asked since the page was opened, newest first; a fragment of that page."""
    agent = find_agent(request, slug)
    given, now = _moment(request.GET.get("since", "")), database_now()
    since = max(given, now - LONGEST) if given else now - LONGEST
    context = {"agent": agent, "arrived": _arrived(request, agent.slug, since), "since": since.isoformat()}
    return render(request, "agents/_arrived.html", context)


def _arrived(request: MemberRequest, agent: str, since: datetime) -> list[Event]:
    search = queries.Search(mode=request.mode, agent=agent, kind="agent", since=since)
    return queries.find(request.organization.pk, search, size=SHOWN).events


def _moment(text: str) -> datetime | None:
    """An aware time, None for anything else."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
