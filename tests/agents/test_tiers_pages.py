"""The ladders, the tier editor, the simulator, the history."""

from decimal import Decimal

import pytest
from django.urls import reverse

from agents.models import Permission, PolicyVersion
from agents.services import permissions
from agents.services.agents import set_status
from agents.services.facts import token
from audit.models import Event

TYPED = {"action": "stripe.refund.small", "effect": "allow", "risk": "low"}


def text(response) -> str:
    return response.content.decode()


def add(bot, people, action, effect, maximum=None, **fields):
    return permissions.create_permission(
        agent=bot,
        by=people.owner,
        action=action,
        effect=effect,
        max_amount=None if maximum is None else Decimal(maximum),
        **fields,
    )


@pytest.fixture
def refunds(bot, people):
    return [
        add(bot, people, "stripe.refund.small", "allow", 50, currency="USD"),
        add(bot, people, "stripe.refund.medium", "allow", 200, currency="USD"),
        add(bot, people, "stripe.refund.large", "ask", 1000, currency="USD", risk="high"),
    ]


def ladder(page, action):
    return next(each for each in page.context["board"].all if each.action == action)


def test_tiers_are_drawn_as_a_ladder_with_its_ground(enter, people, bot, refunds):
    page = enter(people.viewer).get(reverse("agents:detail", args=[bot.slug]))
    rungs = [(rung.label, rung.word) for rung in ladder(page, "stripe.refund").rungs]
    assert rungs == [("≤ $50", "Pass"), ("≤ $200", "Pass"), ("≤ $1,000", "Ask"), ("above", "Deny")]
    assert ladder(page, "stripe.refund").warnings == ()
    assert "/tiers/" not in text(page)


def test_wildcards_and_ladders_that_loosen_upwards_are_warned_of(enter, people, bot):
    add(bot, people, "email.*", "allow")
    add(bot, people, "stripe.refund.small", "ask", 50)
    add(bot, people, "stripe.refund.large", "allow", 500)
    page = enter(people.admin).get(reverse("agents:detail", args=[bot.slug]))
    assert "every action below it" in ladder(page, "email.*").warnings[0]
    assert ladder(page, "stripe.refund").warnings == ("It loosens upwards: ≤ 50 asks, but ≤ 500 passes.",)


def test_tiers_of_different_environments_are_not_compared(enter, people, bot):
    add(bot, people, "deploy.service.one", "ask", 50, environment="production")
    add(bot, people, "deploy.service.two", "allow", 500, environment="staging")
    page = enter(people.admin).get(reverse("agents:detail", args=[bot.slug]))
    assert ladder(page, "deploy.service").warnings == ()


def test_a_tier_is_added(enter, people, bot, standard):
    typed = TYPED | {"max_amount": "50.00", "currency": "usd", "environment": "staging", "notes": "small ones"}
    page = enter(people.admin).post(reverse("agents:tier_new", args=[bot.slug]), typed)
    assert page.status_code == 302
    row = Permission.objects.get()
    assert (row.max_amount, row.currency, row.environment, row.changed_by) == (50, "USD", "staging", people.admin)
    assert Event.objects.get(kind="person:permission:create").actor == people.admin.email


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("action", "Refund", "two to six parts"),
        ("max_amount", "-1", "greater than or equal"),
        ("max_amount", "1e999999", "digits in total"),
        ("max_amount", "NaN", "Enter a number"),
        ("condition", "context.", "Line 1, column 9"),
        ("environment", "moon", "valid choice"),
        ("callee", "http://x", "spiffe://"),
        ("expires_at", "2001-01-01T00:00", "past"),
        ("effect", "maybe", "valid choice"),
    ],
)
def test_a_mistake_is_told_beside_its_field_and_keeps_what_was_typed(enter, people, bot, field, value, said):
    page = enter(people.admin).post(
        reverse("agents:tier_new", args=[bot.slug]), TYPED | {"notes": "kept text", field: value}
    )
    assert page.status_code == 422
    assert any(said in error for error in page.context["form"].errors[field]), page.context["form"].errors
    assert "kept text" in text(page)
    assert not Permission.objects.exists()


def test_a_rule_of_another_organization_cannot_be_chosen(enter, people, bot, other):
    from agents.services.rules import create_rule

    foreign = create_rule(organization=other, by=people.stranger, name="Foreign")
    page = enter(people.admin).post(
        reverse("agents:tier_new", args=[bot.slug]), TYPED | {"effect": "ask", "approval_rule": foreign.pk}
    )
    assert page.status_code == 422


def test_a_tier_is_edited(enter, people, bot, refunds):
    url, client = reverse("agents:tier", args=[bot.slug, refunds[0].pk]), enter(people.admin)
    page = client.get(url)
    assert 'value="50.00"' in text(page)
    typed = TYPED | {"max_amount": "75", "currency": "USD", "token": page.context["form"].initial["token"]}
    assert client.post(url, typed).status_code == 302
    assert Permission.objects.get(pk=refunds[0].pk).max_amount == 75


def test_the_second_of_two_editors_sees_both_and_decides(enter, people, bot, refunds):
    url, client = reverse("agents:tier", args=[bot.slug, refunds[0].pk]), enter(people.admin)
    typed = TYPED | {"max_amount": "75", "currency": "USD", "notes": "mine", "token": token(refunds[0])}
    permissions.change_permission(permission=refunds[0], by=people.owner, max_amount=Decimal(60))
    page = client.post(url, typed)
    assert page.status_code == 409
    assert ("Up to", "60", "75") in page.context["faster"].differs
    assert 'value="mine"' in text(page)
    assert Permission.objects.get(pk=refunds[0].pk).max_amount == 60
    assert client.post(url, typed | {"token": page.context["form"]["token"].value()}).status_code == 302
    assert Permission.objects.get(pk=refunds[0].pk).max_amount == 75


def test_a_tier_that_was_deleted_meanwhile_can_be_added_anew(enter, people, bot, refunds, monkeypatch):
    from agents.views import tiers

    url, client = reverse("agents:tier", args=[bot.slug, refunds[0].pk]), enter(people.admin)
    found = tiers.find_tier

    def delete_in_between(request, slug, pk):
        tier = found(request, slug, pk)
        if request.method == "POST" and not getattr(request, "raced", False):
            request.raced = True
            copy = found(request, slug, pk)
            tiers.find_tier = lambda *_: copy
            permissions.delete_permission(permission=Permission.objects.get(pk=pk), by=people.owner)
        return tier

    monkeypatch.setattr(tiers, "find_tier", delete_in_between)
    page = client.post(url, TYPED | {"notes": "mine", "token": token(refunds[0])})
    assert page.status_code == 409
    assert "It is gone" in text(page)
    assert f'action="{reverse("agents:tier_new", args=[bot.slug])}"' in text(page)
    assert 'value="mine"' in text(page)


def test_a_tier_is_deleted_after_a_question(enter, people, bot, refunds):
    url, client = reverse("agents:tier_delete", args=[bot.slug, refunds[2].pk]), enter(people.admin)
    page = client.get(url)
    assert "stripe.refund.large up to $1,000.00 needs approval" in text(page)
    client.post(url, {"token": "older"})
    assert Permission.objects.filter(pk=refunds[2].pk).exists()
    client.post(url, {"token": page.context["token"]})
    assert not Permission.objects.filter(pk=refunds[2].pk).exists()


def test_tiers_of_strangers_and_of_other_agents_are_not_there(enter, people, bot, refunds, acme):
    from agents.services.agents import create_agent

    twin = create_agent(organization=acme, by=people.owner, name="Twin")
    for name in ("agents:tier", "agents:tier_delete"):
        assert enter(people.stranger).get(reverse(name, args=[bot.slug, refunds[0].pk])).status_code == 404
        assert enter(people.admin).get(reverse(name, args=[twin.slug, refunds[0].pk])).status_code == 404
        assert enter(people.viewer).get(reverse(name, args=[bot.slug, refunds[0].pk])).status_code == 403


@pytest.mark.parametrize(
    ("condition", "said"),
    [("", ""), ("context.vip == true", "can be used"), ("context.", "column 9"), ("1 + 1", "true or false"),
     ("'<b>' ==", "&lt;b&gt;")],
)  # fmt: skip
def test_a_condition_is_checked_while_it_is_typed(enter, people, condition, said):
    page = enter(people.admin).post(reverse("agents:check_condition"), {"condition": condition})
    assert page.status_code == 200
    assert said in text(page)
    assert "<b>'" not in text(page)


@pytest.mark.parametrize(
    ("amount", "outcome", "permission", "reason"),
    [
        (50, "allow", "stripe.refund.small", "Allowed by"),
        (150, "allow", "stripe.refund.medium", "Allowed by"),
        (500, "ask", "stripe.refund.large", "requires human approval"),
        (5000, "deny", None, "exceeds maximum allowed 1000.00"),
    ],
)
def test_the_simulator_says_what_would_come_of_a_check(
    enter, people, bot, refunds, standard, amount, outcome, permission, reason
):
    client = enter(people.viewer)
    before = (Event.objects.count(), PolicyVersion.objects.count())
    page = client.post(
        reverse("agents:detail", args=[bot.slug]), {"action": "stripe.refund", "context": f'{{"amount": {amount}}}'}
    )
    decision = page.context["result"]["decision"]
    assert decision.outcome == outcome
    assert (decision.permission.action if decision.permission else None) == permission
    assert reason in text(page)
    hits = [rung.permission.action for rung in ladder(page, "stripe.refund").rungs if rung.hit]
    assert hits == ([permission] if permission else [])
    assert (Event.objects.count(), PolicyVersion.objects.count()) == before
    if outcome == "ask":
        assert page.context["result"]["rule"]["name"] == standard.name


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ("{", "Not JSON: line 1"),
        ("[1]", "is an object"),
        ('{"a":1,"a":2}', "twice"),
        ('{"a":NaN}', "NaN"),
        ("[" * 5000, ""),
    ],
)
def test_a_context_that_the_gateway_would_refuse_is_refused_here(enter, people, bot, context, said):
    page = enter(people.viewer).post(
        reverse("agents:detail", args=[bot.slug]), {"action": "stripe.refund", "context": context}
    )
    assert page.status_code == 422
    assert said in str(page.context["form"].errors["context"])


def test_the_simulator_uses_environment_and_status(enter, people, bot):
    add(bot, people, "deploy.service", "allow", environment="staging")
    url, client = reverse("agents:detail", args=[bot.slug]), enter(people.viewer)

    def outcome(**typed):
        page = client.post(url, {"action": "deploy.service", "context": ""} | typed)
        return page.context["result"]["decision"].outcome

    assert outcome() == "deny"
    assert outcome(environment="staging") == "allow"
    set_status(agent=bot, by=people.owner, status="suspended")
    assert outcome(environment="staging") == "deny"


def test_the_history_says_who_changed_what(enter, people, bot, refunds):
    permissions.change_permission(permission=refunds[0], by=people.admin, max_amount=Decimal(75))
    permissions.delete_permission(permission=refunds[1], by=people.admin)
    set_status(agent=bot, by=people.owner, status="banned")
    page = enter(people.viewer).get(reverse("agents:history", args=[bot.slug]))
    told = [
        (version.created_by, [(each.kind, each.what, each.fields) for each in changes])
        for version, changes in page.context["entries"]
    ]
    assert told[0] == (people.owner, [("changed", "Agent support-bot", (("status", "active", "banned"),))])
    assert told[1] == (people.admin, [("removed", "stripe.refund.medium up to $200.00 passes", ())])
    assert told[2] == (
        people.admin,
        [("changed", "stripe.refund.small up to $75.00 passes", (("maximum", "50.00", "75.00"),))],
    )
    assert told[3][1] == [("added", "stripe.refund.large up to $1,000.00 needs approval", ())]


def test_versions_are_listed_and_downloaded_by_members_alone(enter, people, bot, refunds, acme):
    client = enter(people.viewer)
    assert client.get(reverse("agents:versions")).status_code == 200
    newest = PolicyVersion.objects.filter(organization=acme).first()
    body = client.get(reverse("agents:version_body", args=[newest.number]))
    assert body.content.decode() == newest.content
    assert enter(people.stranger).get(reverse("agents:version_body", args=[newest.number])).status_code == 404


def test_the_editor_shows_the_ladder_it_would_make(enter, people, bot, refunds):
    url, client = reverse("agents:tier_preview", args=[bot.slug]), enter(people.admin)
    typed = {"action": "stripe.refund.huge", "effect": "allow", "risk": "low", "max_amount": "5000", "currency": "USD"}
    page = client.post(url, typed)
    assert "stripe.refund.huge up to $5,000.00 passes" in text(page)
    assert "loosens upwards: ≤ $1,000 asks, but ≤ $5,000 passes" in text(page)
    edited = client.post(f"{url}?tier={refunds[0].pk}", typed | {"action": "stripe.refund.small", "max_amount": "60"})
    labels = [rung.label for rung in edited.context["preview"]["ladder"].rungs]
    assert labels == ["≤ $60", "≤ $200", "≤ $1,000", "above"]
    assert "Once it makes sense" in text(client.post(url, typed | {"max_amount": "lots"}))
    assert Permission.objects.count() == 3
    assert enter(people.viewer).post(url, typed).status_code == 403
    assert enter(people.stranger).post(url, typed).status_code == 404


def test_an_expired_tier_is_drawn_as_one_that_does_not_apply(enter, people, bot, refunds):
    Permission.objects.filter(pk=refunds[1].pk).update(expires_at="2026-01-01T00:00Z")
    page = enter(people.viewer).get(reverse("agents:detail", args=[bot.slug]))
    assert [rung.expired for rung in ladder(page, "stripe.refund").rungs] == [False, True, False, False]
    assert "it does not apply" in text(page)
