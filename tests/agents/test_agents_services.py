"""What the verbs of agents do, refuse and record."""

import json

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Team
from accounts.rules import Refused
from agents.models import Agent, PolicyVersion
from agents.services import agents, permissions
from agents.services.errors import Conflict
from agents.services.facts import token
from agents.services.keys import create_key
from audit.leaf import SYSTEM
from audit.models import Event


def last() -> Event:
    return Event.objects.order_by("-at").first()


def test_a_new_agent_may_do_nothing_and_is_recorded(acme, people):
    agent = agents.create_agent(organization=acme, by=people.admin, name="Refund Bot", purpose="Refunds")
    assert (agent.slug, agent.status, agent.created_by) == ("refund-bot", "active", people.admin)
    event = last()
    assert (event.kind, event.agent, event.actor) == ("person:agent:create", "refund-bot", people.admin.email)
    assert event.target.startswith("agt_")
    assert event.data["after"]["purpose"] == "Refunds"


def test_a_second_agent_of_the_same_name_gets_a_slug_of_its_own(acme, people):
    slugs = [agents.create_agent(organization=acme, by=people.admin, name="Büro Bot!").slug for _ in range(3)]
    assert slugs == ["buro-bot", "buro-bot-2", "buro-bot-3"]


def test_a_slug_that_is_taken_or_an_address_of_ours_is_refused(acme, people, bot):
    for slug in (bot.slug, "new", "Upper", "-x"):
        with pytest.raises(ValidationError):
            agents.create_agent(organization=acme, by=people.admin, name="x", slug=slug)


def test_another_organization_may_use_the_same_slug(other, people, bot):
    assert agents.create_agent(organization=other, by=people.stranger, name="x", slug=bot.slug).slug == bot.slug


def test_an_owner_must_be_a_member_and_only_one(acme, other, people, bot):
    foreign = Team.objects.create(organization=other, name="T", slug="t")
    own = Team.objects.create(organization=acme, name="T", slug="t")
    for fields in ({"owner_user": people.stranger}, {"owner_team": foreign}, {"owner_team": own}):
        with pytest.raises(ValidationError):
            agents.change_agent(agent=bot, by=people.admin, **fields)
    changed = agents.change_agent(agent=bot, by=people.admin, owner_user=None, owner_team=own)
    assert changed.owner == own
    assert last().data == {
        "before": {"owner_user": people.owner.email, "owner_team": None},
        "after": {"owner_user": None, "owner_team": "t"},
    }


def test_the_record_keeps_only_what_changed_and_nothing_where_nothing_did(people, bot):
    agents.change_agent(agent=bot, by=people.admin, name="Renamed", purpose="Answers customers")
    assert last().data == {"before": {"name": "Support bot"}, "after": {"name": "Renamed"}}
    count = Event.objects.count()
    agents.change_agent(agent=bot, by=people.admin, name="Renamed")
    assert Event.objects.count() == count


def test_the_record_keeps_the_hash_of_a_long_text(people, bot):
    agents.change_agent(agent=bot, by=people.admin, documentation="x" * 40_000)
    assert "40000 characters, SHA-256" in last().data["after"]["documentation"]


def test_the_slug_and_the_status_cannot_be_changed_by_the_way(people, bot):
    for field in ("slug", "status", "organization"):
        with pytest.raises(TypeError):
            agents.change_agent(agent=bot, by=people.admin, **{field: "x"})


@pytest.mark.parametrize(("status", "verb"), [("suspended", "suspend"), ("banned", "ban")])
def test_a_status_changes_the_policy_and_says_why(acme, people, bot, status, verb):
    agents.set_status(agent=bot, by=people.admin, status=status, reason="odd refunds")
    assert last().kind == f"person:agent:{verb}"
    assert last().data == {"before": {"status": "active"}, "after": {"status": status}, "reason": "odd refunds"}
    version = PolicyVersion.objects.filter(organization=acme).first()
    assert json.loads(version.content)["agents"][0]["status"] == status
    assert version.agent == bot
    agents.set_status(agent=bot, by=people.admin, status="active")
    assert last().kind == "person:agent:activate"


def test_setting_the_status_it_has_changes_nothing(acme, people, bot):
    before = (Event.objects.count(), PolicyVersion.objects.count())
    agents.set_status(agent=bot, by=people.admin, status="active")
    assert (Event.objects.count(), PolicyVersion.objects.count()) == before
    with pytest.raises(ValidationError):
        agents.set_status(agent=bot, by=people.admin, status="retired")


def test_a_deleted_agent_loses_permissions_and_keys_and_keeps_its_row_and_record(acme, people, bot):
    permissions.create_permission(agent=bot, by=people.admin, action="email.send", effect="allow")
    key, _ = create_key(organization=acme, by=people.admin, mode="live", name="k", agent=bot)
    agents.delete_agent(agent=bot, by=people.admin)
    bot.refresh_from_db()
    assert bot.deleted_at is not None
    assert not bot.permissions.exists()
    assert not bot.api_keys.exists()
    event = last()
    assert event.kind == "person:agent:delete"
    assert event.data["before"]["permissions"][0]["action"] == "email.send"
    assert event.data["before"]["keys"] == [key.shown]
    assert Event.objects.filter(agent=bot.slug, kind="person:permission:create").exists()
    assert agents.create_agent(organization=acme, by=people.admin, name="x", slug=bot.slug).slug == bot.slug


@pytest.mark.parametrize("verb", ["change", "status", "delete", "audit", "tier", "key"])
def test_a_deleted_agent_cannot_be_changed(acme, people, bot, verb):
    agents.delete_agent(agent=bot, by=people.admin)
    acts = {
        "change": lambda: agents.change_agent(agent=bot, by=people.admin, name="x"),
        "status": lambda: agents.set_status(agent=bot, by=people.admin, status="banned"),
        "delete": lambda: agents.delete_agent(agent=bot, by=people.admin),
        "audit": lambda: agents.mark_audited(agent=bot, by=people.admin),
        "tier": lambda: permissions.create_permission(agent=bot, by=people.admin, action="a.b", effect="allow"),
        "key": lambda: create_key(organization=acme, by=people.admin, mode="live", name="k", agent=bot),
    }
    count = Event.objects.count()
    with pytest.raises(Conflict):
        acts[verb]()
    assert Event.objects.count() == count


def test_a_person_marks_an_agent_as_audited(people, bot):
    agent = agents.mark_audited(agent=bot, by=people.admin)
    assert agent.last_audited_by == people.admin
    assert last().kind == "person:agent:audit"
    with pytest.raises(Refused):
        agents.mark_audited(agent=bot, by=SYSTEM)


def test_of_two_people_who_edit_one_agent_the_second_is_told(people, bot):
    seen = token(bot)
    agents.change_agent(agent=bot, by=people.owner, expected=seen, name="First")
    with pytest.raises(Conflict):
        agents.change_agent(agent=bot, by=people.admin, expected=seen, name="Second")
    assert Agent.objects.get(pk=bot.pk).name == "First"


def test_the_command_line_is_named_in_the_record(acme):
    agent = agents.create_agent(organization=acme, by=SYSTEM, name="x")
    assert agent.created_by is None
    assert last().kind == "system:agent:create"
