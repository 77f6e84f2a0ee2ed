"""The pages of agents, by the owner, an admin, an approver, a viewer and a stranger."""

import pytest
from django.urls import reverse

from agents.models import Agent
from agents.services.agents import create_agent, set_status
from agents.services.facts import token
from agents.services.keys import create_key
from agents.services.permissions import create_permission
from audit.leaf import Actor
from audit.models import Event
from audit.record import record


def text(response) -> str:
    return response.content.decode()


@pytest.fixture
def tier(bot, people):
    return create_permission(agent=bot, by=people.owner, action="email.send", effect="ask")


def test_the_list_shows_agents_with_their_counts(enter, people, bot, tier, acme):
    create_key(organization=acme, by=people.owner, mode="live", name="k", agent=bot)
    page = enter(people.viewer).get(reverse("agents:list"))
    assert page.status_code == 200
    (agent,) = page.context["page"]
    assert (agent.tiers, agent.keys, agent.active_at) == (1, 1, None)
    assert "Support bot" in text(page)
    assert reverse("agents:new") not in text(page)


def test_the_list_knows_when_an_agent_last_asked_in_this_mode(enter, people, bot, acme):
    from django.db import transaction

    with transaction.atomic():
        record(
            kind="agent:check:allow",
            organization_id=acme.pk,
            mode="live",
            actor=Actor("agent", "", bot.slug),
            agent=bot.slug,
            action="email.send",
            result="allow",
        )
    (agent,) = enter(people.viewer).get(reverse("agents:list")).context["page"]
    assert agent.active_at == Event.objects.get(kind="agent:check:allow").at


def test_search_and_status_narrow_the_list(enter, people, bot, acme):
    other = create_agent(organization=acme, by=people.owner, name="Deploy bot", purpose="ships")
    set_status(agent=other, by=people.owner, status="banned")
    client = enter(people.viewer)

    def slugs(**query):
        return [agent.slug for agent in client.get(reverse("agents:list"), query).context["page"]]

    assert slugs() == ["support-bot", "deploy-bot"]
    assert slugs(q="ships") == ["deploy-bot"]
    assert slugs(status="active") == ["support-bot"]
    assert slugs(status="nonsense") == ["support-bot", "deploy-bot"]
    assert slugs(q="zzz") == []
    assert "No agent matches" in text(client.get(reverse("agents:list"), {"q": "zzz"}))


def test_an_empty_list_teaches_those_who_can_do_something_about_it(enter, people):
    assert "from agentwarden import" in text(enter(people.admin).get(reverse("agents:list")))
    assert "An owner or admin" in text(enter(people.viewer).get(reverse("agents:list")))


@pytest.mark.parametrize("name", ["detail", "about", "agent_keys", "activity", "history"])
def test_every_tab_is_shown_to_members_and_is_nothing_to_strangers(enter, people, bot, tier, name):
    url = reverse(f"agents:{name}", args=[bot.slug])
    assert enter(people.auditor).get(url).status_code == 200
    assert enter(people.stranger).get(url).status_code == 404


def test_the_record_is_for_those_who_may_read_it(enter, people, bot):
    client = enter(people.viewer)
    assert client.get(reverse("agents:activity", args=[bot.slug])).status_code == 403
    assert "Recent" not in text(client.get(reverse("agents:detail", args=[bot.slug])))
    assert "Recent" in text(enter(people.approver).get(reverse("agents:detail", args=[bot.slug])))


WRITES = [
    ("agents:new", []),
    ("agents:edit", ["support-bot"]),
    ("agents:delete", ["support-bot"]),
    ("agents:status", ["support-bot", "ban"]),
    ("agents:tier_new", ["support-bot"]),
    ("agents:key_new", []),
    ("agents:rule_new", []),
]


@pytest.mark.parametrize(("name", "args"), WRITES)
def test_pages_that_change_things_are_closed_to_those_who_may_not(enter, people, bot, name, args):
    url = reverse(name, args=args)
    for who in (people.viewer, people.approver, people.auditor):
        assert enter(who).get(url).status_code == 403
        assert enter(who).post(url, {"name": "x"}).status_code == 403
    assert enter(people.admin).get(url).status_code == 200
    assert Agent.objects.get(pk=bot.pk).status == "active"


@pytest.mark.parametrize(("name", "args"), [write for write in WRITES if write[1]])
def test_what_belongs_to_another_organization_is_not_there(enter, people, bot, name, args):
    url = reverse(name, args=args)
    client = enter(people.stranger)
    assert client.get(url).status_code == 404
    assert client.post(url, {"name": "x"}).status_code == 404


def test_nobody_who_is_not_logged_in_sees_anything(client, people, bot):
    for name in ("agents:list", "agents:keys", "agents:permissions", "agents:rules", "agents:versions"):
        assert client.get(reverse(name)).status_code == 302


def test_an_admin_creates_an_agent(enter, people):
    page = enter(people.admin).post(
        reverse("agents:new"), {"name": "Refund bot", "purpose": "Refunds", "owner": f"user:{people.owner.pk}"}
    )
    assert page.url == reverse("agents:detail", args=["refund-bot"])
    agent = Agent.objects.get(slug="refund-bot")
    assert (agent.owner, agent.created_by) == (people.owner, people.admin)


def test_a_mistake_keeps_what_was_typed(enter, people, bot):
    page = enter(people.admin).post(reverse("agents:new"), {"name": "Another", "slug": bot.slug, "purpose": "kept"})
    assert page.status_code == 422
    assert "support-bot-2 is free" in text(page)
    assert 'value="kept"' in text(page)
    assert Agent.objects.count() == 1


def test_an_owner_from_elsewhere_cannot_be_chosen(enter, people, bot):
    page = enter(people.admin).post(reverse("agents:new"), {"name": "Another", "owner": f"user:{people.stranger.pk}"})
    assert page.status_code == 422


def test_the_second_of_two_editors_is_told_and_loses_nothing(enter, people, bot):
    url, client = reverse("agents:edit", args=[bot.slug]), enter(people.admin)
    typed = {"name": "Mine", "purpose": "typed by the second", "owner": "", "token": token(bot)}
    bot.name = "Theirs"
    bot.save(update_fields=["name"])
    page = client.post(url, typed)
    assert page.status_code == 409
    assert "typed by the second" in text(page)
    assert "Theirs" in text(page)
    assert Agent.objects.get(pk=bot.pk).name == "Theirs"
    again = client.post(url, typed | {"token": page.context["form"]["token"].value()})
    assert again.status_code == 302
    assert Agent.objects.get(pk=bot.pk).name == "Mine"


@pytest.mark.parametrize(("verb", "status"), [("suspend", "suspended"), ("ban", "banned")])
def test_a_status_is_confirmed_with_a_reason_first(enter, people, bot, verb, status):
    url, client = reverse("agents:status", args=[bot.slug, verb]), enter(people.admin)
    assert client.get(url).status_code == 200
    assert Agent.objects.get(pk=bot.pk).status == "active"
    assert client.post(url, {"reason": "odd"}).status_code == 302
    assert Agent.objects.get(pk=bot.pk).status == status
    assert Event.objects.get(kind=f"person:agent:{verb}").data["reason"] == "odd"
    client.post(reverse("agents:status", args=[bot.slug, "activate"]))
    assert Agent.objects.get(pk=bot.pk).status == "active"
    assert client.get(reverse("agents:status", args=[bot.slug, "retire"])).status_code == 404


def test_an_agent_is_deleted_after_a_question(enter, people, bot, tier):
    url, client = reverse("agents:delete", args=[bot.slug]), enter(people.admin)
    page = client.get(url)
    assert "1 tier" in text(page)
    client.post(url, {"token": "another"})
    assert Agent.objects.get(pk=bot.pk).deleted_at is None
    client.post(url, {"token": page.context["token"]})
    assert Agent.objects.get(pk=bot.pk).deleted_at is not None
    assert client.get(reverse("agents:detail", args=[bot.slug])).status_code == 404


def test_an_agent_is_marked_as_audited_by_a_post_alone(enter, people, bot):
    url, client = reverse("agents:audited", args=[bot.slug]), enter(people.admin)
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 302
    assert Agent.objects.get(pk=bot.pk).last_audited_by == people.admin


def test_documentation_is_rendered_and_cannot_bite(enter, people, bot):
    bot.documentation = (
        "# Title\n\n<script>alert(1)</script> [site](https://example.com) [bad](javascript:alert(1))\n\n"
        '![spy](https://example.com/x.png)\n\n<a href="x" onclick="y">z</a>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n'
    )
    bot.save(update_fields=["documentation"])
    html = text(enter(people.viewer).get(reverse("agents:about", args=[bot.slug])))
    assert '<a href="https://example.com" rel="nofollow noopener noreferrer">site</a>' in html
    assert "<h3>Title</h3>" in html
    assert "<table>" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "javascript:alert" not in html.replace("(javascript:alert(1))", "")
    assert "x.png" not in html
    assert '<a href="x"' not in html


def test_what_people_wrote_is_drawn_not_run(enter, people, bot):
    bot.name = "<img src=x> ab\u202e"
    bot.save(update_fields=["name"])
    html = text(enter(people.viewer).get(reverse("agents:detail", args=[bot.slug])))
    assert "<img src=x>" not in html
    assert "⟨U+202E⟩" in html
