"""Connect an agent: a key that is shown once, snippets that run, and the first request where it was waited for."""

import html
import json
import re
import subprocess
import sys
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db import transaction
from django.urls import reverse

from accounts.secrets import hash_secret
from agents.connecting import FRAMEWORKS, NO_KEY, Asked, asked_of
from agents.frameworks import PROGRAMS
from agents.load import find_key
from agents.models import Agent, ApiKey, Permission
from agents.services.agents import create_agent
from agents.services.permissions import create_permission
from audit.clock import database_now
from audit.leaf import Actor
from audit.models import Event
from audit.record import record
from tests.client.mcp_world import environment
from tests.docs.curl import curl
from tests.docs.pages import blocks, read
from tests.gateway.conftest import World, make_key, world

__all__ = ["world"]


def text(response) -> str:
    return html.unescape(response.content.decode())


def url(bot: Agent, framework: str = "python") -> str:
    return f"{reverse('agents:connect', args=[bot.slug])}?with={framework}"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_framework_shows_its_steps_with_a_key_to_fill_in(enter, people, bot, framework):
    page = enter(people.admin).get(url(bot, framework))
    assert page.status_code == 200
    for step in page.context["steps"]:
        assert step.title in text(page)
        assert step.text in text(page)
    assert page.context["made"] is None
    assert not ApiKey.objects.exists()


def test_a_key_is_made_in_the_mode_of_the_pages_and_shown_once(enter, people, bot):
    client = enter(people.admin)
    client.post(reverse("accounts:switch_mode"), {"mode": "test"})
    page = client.post(url(bot))
    secret = page.context["made"].secret
    assert page["Cache-Control"] == "no-store"
    assert text(page).count(secret) >= 3  # alone, in the environment, for the test request
    key = ApiKey.objects.get()
    assert (key.mode, key.agent, key.created_by) == ("test", bot, people.admin)
    assert timedelta(days=89) < key.expires_at - key.created_at <= timedelta(days=90)
    assert find_key(hash_secret(secret)).agent_id == bot.pk
    assert secret not in text(client.get(url(bot)))
    assert all(secret not in event.body for event in Event.objects.all())
    client.post(reverse("accounts:switch_mode"), {"mode": "live"})
    assert client.post(url(bot)).context["made"].key.mode == "live"


@pytest.mark.parametrize("role", ["approver", "viewer"])
def test_who_may_not_write_makes_no_key(enter, people, bot, role):
    client = enter(getattr(people, role))
    assert "An owner or admin makes the key" in text(client.get(url(bot)))
    client.post(url(bot))
    assert not ApiKey.objects.exists()


def test_a_stranger_finds_nothing(enter, people, bot):
    client = enter(people.stranger)
    for path in (url(bot), reverse("agents:connect_arrived", args=[bot.slug])):
        assert client.get(path).status_code == 404
    assert client.post(url(bot)).status_code == 404
    assert bot.slug not in text(client.get(reverse("agents:connect_start")))


def test_one_agent_is_the_one_meant_and_several_are_offered(enter, people, bot, acme):
    client = enter(people.admin)
    assert client.get(reverse("agents:connect_start")).url == reverse("agents:connect", args=[bot.slug])
    create_agent(organization=acme, by=people.owner, name="Other bot", owner_user=people.owner)
    page = client.get(reverse("agents:connect_start"))
    assert reverse("agents:connect", args=["other-bot"]) in text(page)


def test_empty_pages_lead_there(enter, people, bot):
    client = enter(people.owner)
    assert reverse("agents:connect_start") in text(client.get(reverse("inbox")))
    assert reverse("agents:connect_start") in text(client.get(reverse("agents:list")))
    assert reverse("agents:connect", args=[bot.slug]) in text(client.get(reverse("agents:detail", args=[bot.slug])))


def test_the_snippet_asks_what_the_agent_may(people, bot):
    assert asked_of(bot, "https://warden.example.com").action == "email.send"
    create_permission(agent=bot, by=people.owner, action="ticket.*", effect="allow")
    create_permission(agent=bot, by=people.owner, action="ticket.delete", effect="deny")
    create_permission(agent=bot, by=people.owner, action="ticket.escalate", effect="ask")
    create_permission(agent=bot, by=people.owner, action="ticket.update", effect="allow")
    bot.refresh_from_db()
    assert asked_of(Agent.objects.get(), "https://warden.example.com").action == "ticket.update"


def test_what_arrives_is_what_this_agent_asked_since_in_this_mode(enter, people, bot, acme):
    client, now = enter(people.admin), database_now()
    arrived = reverse("agents:connect_arrived", args=[bot.slug])
    assert "Nothing yet" in text(client.get(arrived))
    for mode, agent in (("test", bot.slug), ("live", "somebody-else"), ("live", bot.slug)):
        with transaction.atomic():
            record(
                kind="agent:check:allow",
                organization_id=acme.pk,
                mode=mode,
                actor=Actor("agent", "", agent),
                agent=agent,
                action="email.send",
                result="allow",
            )
    assert [event.agent for event in client.get(arrived).context["arrived"]] == [bot.slug]
    later = quote((now + timedelta(hours=1)).isoformat())
    assert client.get(f"{arrived}?since={later}").context["arrived"] == []
    for nonsense in ("", "yesterday", "2026-13-45T00:00:00Z", "2026-01-01T00:00:00", "%00"):
        assert len(client.get(f"{arrived}?since={nonsense}").context["arrived"]) == 1


# -- the snippets run ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_python_snippet_runs(world: World) -> None:
    asked = Asked(world.server.url, "support-bot", "stripe.refund", world.key)
    *_, code = FRAMEWORKS["python"].steps(asked)
    done = subprocess.run(
        [sys.executable, "-c", code.text], env=environment(world), capture_output=True, text=True, check=True
    )
    assert done.stdout == "allowed: act now\n"


@pytest.mark.django_db(transaction=True)
def test_the_curl_snippet_and_its_environment_run(world: World) -> None:
    settings, code = FRAMEWORKS["curl"].steps(Asked(world.server.url, "support-bot", "stripe.refund", world.key))
    named = dict(re.findall(r"^export (\w+)=(.*)$", settings.text, re.M))
    assert named == {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    answer = curl(code.text, **named)
    assert answer.json()["allowed"] is True, answer.text


@pytest.mark.parametrize(
    ("framework", "page", "label"),
    [("claude-code", "docs/claude-code.md", "settings"), ("mcp", "docs/mcp.md", "proxy")],
)
def test_what_is_pasted_into_settings_is_what_the_page_shows_and_its_test_runs(framework, page, label):
    [shown] = [block.text for block in blocks(page, "json") if block.label == label]
    *_, step = FRAMEWORKS[framework].steps(Asked("https://warden.example.com", "support-bot", "email.send", NO_KEY))
    assert json.loads(step.text) == json.loads(shown)


@pytest.mark.django_db(transaction=True)
def test_the_snippet_of_the_approval_protocol_runs(world: World) -> None:
    key = make_key(world.acme, agent=world.bot, scopes=list(FRAMEWORKS["aap"].scopes))
    _, settings, code = FRAMEWORKS["aap"].steps(Asked(world.server.url, "support-bot", "stripe.refund", key))
    named = dict(re.findall(r"^export (\w+)=(.*)$", settings.text, re.M))
    done = subprocess.run(
        [sys.executable, "-c", code.text], env=environment(world) | named, capture_output=True, text=True, check=True
    )
    assert done.stdout == "allowed: run it now\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_of_an_adapter_is_the_one_its_page_shows_and_its_test_runs(name):
    framework = FRAMEWORKS[name]
    install, settings, program, run = framework.steps(Asked("https://warden.example.com", "bot", "email.send", NO_KEY))
    page = f"docs/{framework.page}"
    assert program.text == next(block.text for block in blocks(page, "python") if block.label == "refund.py")
    for shown in (install.text, run.text):
        assert f"    {shown}\n" in read(page)
    assert settings.text == f"export AAP_BASE_URL=https://warden.example.com/aap\nexport AAP_TOKEN={NO_KEY}"


@pytest.mark.parametrize(
    ("framework", "scopes"), [("python", ["sdk"]), ("mcp", ["sdk"]), ("aap", ["aap"]), ("langgraph", ["aap"])]
)
def test_a_key_opens_the_door_that_its_framework_knocks_on_and_no_other(enter, people, bot, framework, scopes):
    enter(people.admin).post(url(bot, framework))
    assert ApiKey.objects.get().scopes == scopes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("framework", ["python", "aap", "langgraph"])
def test_the_request_that_tries_a_key_is_heard(world: World, framework):
    Permission.objects.create(agent=world.bot, action="tool.issue_refund", effect="allow")
    trial = FRAMEWORKS[framework].trial(Asked(world.server.url, "support-bot", "stripe.refund"))
    key = make_key(world.acme, agent=world.bot, scopes=list(FRAMEWORKS[framework].scopes))
    headers = (
        {"X-API-Key": key} if framework == "python" else {"Authorization": f"Bearer {key}", "Idempotency-Key": "1"}
    )
    answer = world.client.post(trial.path, content=trial.body, headers=headers)
    assert answer.json()["status"] in ("allowed", "approved"), answer.text
    assert Event.objects.get(kind="agent:check:allow").action == trial.action
