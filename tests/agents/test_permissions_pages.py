"""The organization's tiers, the review of them, and approval rules in the browser."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.urls import reverse

from agents import review as reviewing
from agents.models import Agent, ApiKey, ApprovalRule, Permission
from agents.review import last_uses, review
from agents.services.agents import change_agent, mark_audited
from agents.services.facts import token
from agents.services.keys import create_key
from agents.services.permissions import create_permission
from agents.services.rules import create_rule
from agents.words import rule_sentence
from audit.clock import database_now
from audit.leaf import Actor, Entry
from audit.record import record_all

LONG_AGO = timedelta(days=100)


def text(response) -> str:
    return response.content.decode()


def used(agent, action, tier=None, *, days=0, mode="live", kind="agent:check:allow"):
    entry = Entry(
        kind=kind,
        organization_id=agent.organization_id,
        mode=mode,
        actor=Actor("agent", "", agent.slug),
        agent=agent.slug,
        action=action,
        data={"permission": tier or action},
    )
    with transaction.atomic():
        record_all([entry], at=database_now() - timedelta(days=days))


@pytest.fixture
def tier(bot, people):
    """A tier that is older than a week."""

    def make(action="email.send", effect="allow", **fields):
        row = create_permission(agent=bot, by=people.owner, action=action, effect=effect, **fields)
        Permission.objects.filter(pk=row.pk).update(created_at=database_now() - LONG_AGO)
        return row

    return make


def codes(acme):
    return sorted((finding.code, finding.permission.action if finding.permission else "") for finding in review(acme))


def test_what_is_used_and_narrow_needs_no_attention(acme, bot, tier):
    tier()
    used(bot, "email.send", days=10)
    assert codes(acme) == []


def test_what_was_never_used_and_what_is_not_used_any_more(acme, bot, tier):
    tier("email.send")
    tier("email.draft")
    used(bot, "email.draft", days=95)
    assert codes(acme) == [("never_used", "email.send"), ("unused", "email.draft")]


def test_use_is_a_live_check_by_this_agent_that_came_to_this_tier(acme, bot, tier, people):
    tier("stripe.refund.small", max_amount=Decimal(50))
    tier("stripe.refund.large", max_amount=Decimal(500))
    used(bot, "stripe.refund", "stripe.refund.large")
    used(bot, "stripe.refund.small", mode="test")
    used(bot, "stripe.refund.small", kind="agent:log:success")
    assert codes(acme) == [("never_used", "stripe.refund.small")]
    used(bot, "stripe.refund.small")
    assert codes(acme) == []


def test_a_new_tier_may_be_unused_for_a_week(acme, bot, people):
    create_permission(agent=bot, by=people.owner, action="email.send", effect="allow")
    assert codes(acme) == []


def test_never_is_not_said_where_only_the_newest_checks_were_looked_at(acme, bot, tier, monkeypatch):
    monkeypatch.setattr(reviewing, "LOOKED_AT", 2)
    row = tier()
    for _ in range(3):
        used(bot, "email.send", "something.else")
    assert codes(acme) == []
    assert last_uses(acme, [row])[row].known_since is not None


def test_the_rest_of_the_review(acme, bot, tier, people):
    tier("email.*")
    tier("deploy.production", risk="critical")
    tier("deploy.staging", callee="spiffe://example.com/agent")
    expired = tier("old.tier")
    Permission.objects.filter(pk=expired.pk).update(expires_at=database_now() - timedelta(days=1))
    for action in ("deploy.production", "deploy.staging"):
        used(bot, action)
    change_agent(agent=bot, by=people.owner, owner_user=None, spiffe_id="spiffe://example.com/service")
    Agent.objects.filter(pk=bot.pk).update(created_at=database_now() - LONG_AGO)
    key, _ = create_key(organization=acme, by=people.owner, mode="live", name="k")
    ApiKey.objects.filter(pk=key.pk).update(created_at=database_now() - LONG_AGO)
    assert codes(acme) == [
        ("expired", "old.tier"),
        ("generic_callee", "deploy.staging"),
        ("generic_identity", ""),
        ("no_owner", ""),
        ("not_audited", ""),
        ("old_key", ""),
        ("risky_allow", "deploy.production"),
        ("unlimited_wildcard", "email.*"),
        ("unused_key", ""),
        ("whole_service", "email.*"),
        ("wildcard", "email.*"),
    ]
    mark_audited(agent=bot, by=people.owner)
    assert ("not_audited", "") not in codes(acme)


def test_an_owner_who_left_is_told_and_hinders_no_other_change(acme, bot, people):
    acme.memberships.filter(user=people.owner).delete()
    assert codes(acme) == [("owner_left", "")]
    assert change_agent(agent=bot, by=people.admin, name="Renamed").name == "Renamed"


def test_the_page_shows_tiers_and_what_needs_attention(enter, people, bot, tier):
    tier("email.*")
    tier("email.send", effect="ask")
    client = enter(people.viewer)
    page = client.get(reverse("agents:permissions"))
    assert page.status_code == 200
    assert "Needs attention" in text(page)
    assert len(page.context["rows"]) == 2
    assert len(client.get(reverse("agents:permissions"), {"effect": "ask"}).context["rows"]) == 1
    assert len(client.get(reverse("agents:permissions"), {"q": "send"}).context["rows"]) == 1
    assert "No tier matches" in text(client.get(reverse("agents:permissions"), {"q": "zzz"}))
    assert "email.send" not in text(enter(people.stranger).get(reverse("agents:permissions")))


RULE = {"name": "Two eyes", "roles": ["owner", "admin"], "approvals": "2", "denials": "1", "minutes": "120"}


def test_a_rule_is_made_and_read_as_a_sentence(enter, people, standard):
    client = enter(people.admin)
    assert client.post(reverse("agents:rule_new"), RULE | {"reason_to_approve": "on"}).status_code == 302
    html = text(client.get(reverse("agents:rules")))
    assert "An owner or admin decides. Two approvals are needed; one denial ends it." in html
    assert "A reason is required to approve. " in html
    assert "Undecided, it expires after 2 hours." in html


def test_an_admin_says_in_the_form_what_may_be_changed_and_granted(enter, people, standard):
    client = enter(people.admin)
    sent = RULE | {
        "edits_allowed": "on",
        "edit_fields": "amount\r\n\r\n customer_id \r\namount",
        "grants_allowed": "on",
    }
    assert client.post(reverse("agents:rule_new"), sent).status_code == 302
    rule = ApprovalRule.objects.get(name="Two eyes")
    assert (rule.edits_allowed, rule.edit_fields, rule.grants_allowed) == (True, ["amount", "customer_id"], True)
    said = "Before it is approved, amount and customer_id may be changed. Approving may allow more of the same kind."
    assert said in text(client.get(reverse("agents:rules")))
    url = reverse("agents:rule", args=[rule.pk])
    assert "amount\ncustomer_id</textarea>" in client.get(url).content.decode()
    assert client.post(url, RULE | {"token": token(rule), "edit_fields": "amount"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.edits_allowed, rule.edit_fields, rule.grants_allowed) == (False, ["amount"], False)
    assert "may be changed" not in text(client.get(reverse("agents:rules")))


def test_a_sentence_names_a_few_of_many_fields():
    rule = ApprovalRule(edits_allowed=True, edit_fields=[f"f{number}" for number in range(12)])
    assert "Before it is approved, f0, f1, f2, f3, f4, f5, f6, f7 and 4 more may be changed." in rule_sentence(
        rule.snapshot()
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Standard"),
        ("roles", []),
        ("roles", ["viewer"]),
        ("approvals", "0"),
        ("minutes", "0"),
        ("edits_allowed", "on"),
        ("edit_fields", "x" * 201),
    ],
)
def test_a_rule_that_cannot_be_is_refused(enter, people, standard, field, value):
    page = enter(people.admin).post(reverse("agents:rule_new"), RULE | {field: value})
    assert page.status_code == 422
    assert ApprovalRule.objects.filter(organization=standard.organization).count() == 1


def test_another_default_takes_the_place_of_the_first(enter, people, standard, acme):
    enter(people.admin).post(reverse("agents:rule_new"), RULE | {"is_default": "on"})
    assert ApprovalRule.objects.get(organization=acme, is_default=True).name == "Two eyes"


def test_the_default_stays_one_however_it_is_edited(enter, people, standard):
    url, client = reverse("agents:rule", args=[standard.pk]), enter(people.admin)
    typed = RULE | {"name": "Standard", "token": token(standard)}
    assert client.post(url, typed).status_code == 302
    standard.refresh_from_db()
    assert (standard.is_default, standard.approvals) == (True, 2)


def test_the_second_editor_of_a_rule_is_told(enter, people, standard):
    url, client = reverse("agents:rule", args=[standard.pk]), enter(people.admin)
    typed = RULE | {"token": token(standard)}
    ApprovalRule.objects.filter(pk=standard.pk).update(minutes=5)
    page = client.post(url, typed)
    assert page.status_code == 409
    assert ("Expires after (minutes)", 5, 120) in page.context["faster"].differs
    assert page.context["form"]["roles"].value() == ["owner", "admin"]
    assert client.post(url, typed | {"token": page.context["form"]["token"].value()}).status_code == 302


def test_a_rule_is_deleted_after_a_question_unless_it_is_needed(enter, people, standard, acme, bot):
    rule = create_rule(organization=acme, by=people.owner, name="Spare")
    row = create_permission(agent=bot, by=people.owner, action="a.b", effect="ask", approval_rule=rule)
    url, client = reverse("agents:rule_delete", args=[rule.pk]), enter(people.admin)
    token_ = client.get(url).context["token"]
    client.post(url, {"token": token_})
    assert ApprovalRule.objects.filter(pk=rule.pk).exists()
    row.delete()
    client.post(url, {"token": token_})
    assert not ApprovalRule.objects.filter(pk=rule.pk).exists()
    client.post(reverse("agents:rule_delete", args=[standard.pk]), {"token": token(standard)})
    assert ApprovalRule.objects.filter(pk=standard.pk).exists()


def test_rules_are_closed_to_those_who_may_not_change_them(enter, people, standard):
    for name in ("agents:rule", "agents:rule_delete"):
        assert enter(people.approver).get(reverse(name, args=[standard.pk])).status_code == 403
        assert enter(people.stranger).get(reverse(name, args=[standard.pk])).status_code == 404
    assert enter(people.approver).get(reverse("agents:rules")).status_code == 200
