"""Who could decide under a rule now; a rule that nobody could satisfy is refused, and flagged when people leave."""

from datetime import timedelta
from io import StringIO

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.urls import reverse
from django.utils.html import strip_tags

from accounts.models import Membership
from accounts.services import delegations
from agents.models import ApprovalRule
from agents.outlook import Staff, stuck_words
from agents.review import review
from agents.services import rules
from agents.services.permissions import create_permission
from approvals.measures import stuck_rules
from audit.clock import database_now
from audit.leaf import SYSTEM
from notifications.alerts.measures import Scope
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def finance(acme, people):
    return factories.a_team(acme, people.approver, people.admin, people.viewer)


@pytest.fixture
def payments(acme, people, standard, finance):
    return rules.create_rule(
        organization=acme,
        by=people.admin,
        name="Payments",
        roles=[],
        teams=[finance.slug],
        approvals=2,
        alternatives=[{"approvals": 1, "people": [people.owner.email]}],
    )


def test_who_could_decide_now_is_told_for_each_way(acme, people, payments):
    first, second = Staff(acme).chances(payments)
    assert (first.approvals, set(first.people)) == (2, {people.approver, people.admin})  # a viewer decides nothing
    assert (second.approvals, second.people) == (1, (people.owner,))


@pytest.mark.parametrize(
    "fields",
    [
        {"approvals": 4},
        {"roles": ["owner"], "approvals": 2},
        {"roles": [], "teams": ["FINANCE"], "approvals": 3},
        {"roles": ["owner"], "approvals": 2, "alternatives": [{"approvals": 2, "roles": ["admin"]}]},
    ],
)
def test_a_rule_that_nobody_could_satisfy_is_refused(acme, people, standard, finance, fields):
    fields = {name: [finance.slug] if value == ["FINANCE"] else value for name, value in fields.items()}
    with pytest.raises(ValidationError, match=r"and only .* could give one"):
        rules.create_rule(organization=acme, by=people.admin, name="Odd", **fields)
    with pytest.raises(ValidationError, match=r"and only .* could give one"):
        rules.change_rule(rule=standard, by=people.admin, **fields)
    assert ApprovalRule.objects.get().version == 1


def test_a_rule_is_flagged_once_people_leave(acme, people, payments, enter):
    scope = Scope(acme.id, "live", database_now(), None)
    browser = enter(people.admin)
    assert stuck_rules(scope) == 0
    assert "Nobody can satisfy it" not in browser.get(reverse("agents:rules")).content.decode()
    Membership.objects.filter(user=people.owner).delete()
    assert stuck_rules(scope) == 0  # two of finance are left
    Membership.objects.filter(user=people.approver).update(role="viewer")
    assert stuck_rules(scope) == 1
    page = browser.get(reverse("agents:rules")).content.decode()
    assert "Nobody can satisfy it" in page
    words = f"It takes 2 approvals, and only {people.admin.email} could give one."
    assert words in stuck_words(Staff(acme).chances(payments))
    out = StringIO()
    call_command("list_approval_rules", "--organization", acme.slug, stdout=out)
    assert words in out.getvalue()


def test_an_agent_whose_owners_are_needed_is_named(acme, people, standard, bot, enter):
    only = rules.create_rule(organization=acme, by=SYSTEM, name="Owner only", roles=["owner"])
    scope = Scope(acme.id, "live", database_now(), None)
    assert stuck_rules(scope) == 0
    tier = create_permission(agent=bot, by=people.owner, action="a.b", effect="ask", approval_rule=only)
    create_permission(agent=bot, by=people.owner, action="a.c", effect="ask")
    assert Staff(acme).stuck_agents(only) == [bot.slug]
    assert Staff(acme).stuck_agents(standard) == []
    assert stuck_rules(scope) == 1
    assert [each.permission for each in review(acme) if each.code == "nobody_decides"] == [tier]
    words = f"What {bot.slug} asks, nobody could approve: its owners are needed, and may not decide it."
    out = StringIO()
    call_command("list_approval_rules", "--organization", acme.slug, stdout=out)
    assert out.getvalue().count(words) == 1
    browser = enter(people.admin)
    assert words in browser.get(reverse("agents:rules")).content.decode()
    assert words in browser.get(reverse("agents:tier", args=[bot.slug, tier.pk])).content.decode()
    typed = {"action": "a.d", "effect": "ask", "risk": "low", "approval_rule": only.pk}
    told = reverse("agents:tier_preview", args=[bot.slug])
    assert words in browser.post(told, typed).content.decode()
    for better in ({"effect": "allow"}, {"approval_rule": standard.pk}, {"approval_rule": ""}):
        assert words not in browser.post(told, typed | better).content.decode()
    acme.single_operator_since = database_now()
    assert Staff(acme).stuck_agents(only) == []


def test_a_tier_under_a_rule_that_nobody_can_satisfy_any_more_says_so(acme, people, payments, bot, enter):
    Membership.objects.filter(user__in=[people.owner, people.approver]).update(role="viewer")
    typed = {"action": "a.d", "effect": "ask", "risk": "low", "approval_rule": payments.pk}
    page = enter(people.admin).post(reverse("agents:tier_preview", args=[bot.slug]), typed).content.decode()
    assert f"It takes 2 approvals, and only {people.admin.email} could give one." in page


def test_who_could_decide_but_for_a_factor_or_an_absence_is_told(acme, people, standard, enter):
    TOTP.activate(people.owner, generate_totp_secret())
    delegations.create(
        member=people.approver.memberships.get(),
        starts_at=None,
        ends_at=database_now() + timedelta(days=3),
        by=people.approver.memberships.get(),
    )
    until = f"{database_now() + timedelta(days=3):%-d %b}"
    staff = Staff(acme)
    notes = {user: staff.note(user, standard) for user in (people.owner, people.admin, people.approver)}
    assert notes == {people.owner: "", people.admin: "", people.approver: f"away until {until}"}
    standard.assurance = "stepup"
    notes = {user: staff.note(user, standard) for user in notes}
    assert notes == {
        people.owner: "",
        people.admin: "no second factor yet",
        people.approver: "no second factor yet",
    }
    standard.save(update_fields=["assurance"])
    page = strip_tags(enter(people.admin).get(reverse("agents:rule", args=[standard.pk])).content.decode())
    assert f"{people.admin.email} no second factor yet" in page
    assert f"{people.owner.email} no second" not in page


def test_the_editor_shows_the_sentence_and_who_could_decide_while_it_is_filled_in(
    acme, people, standard, finance, enter
):
    browser = enter(people.admin)
    sent = {
        "name": "Payments",
        "others": [f"teams:{finance.slug}"],
        "approvals": 2,
        "or_1": 1,
        "or_who_1": ["roles:owner"],
        "denials": 1,
        "minutes": 60,
        "assurance": "stepup",
    }
    page = browser.post(reverse("agents:rule_preview"), sent).content.decode()
    assert f"It takes two approvals by a member of {finance.slug}, or one by an owner; one denial ends it." in page
    assert "with a fresh passkey or code" in page
    assert people.approver.email in page
    assert people.owner.email in page
    assert people.viewer.email not in page
    alone = sent | {"others": [f"people:{people.owner.email}"], "or_1": "", "or_who_1": []}
    words = f"It takes 2 approvals, and only {people.owner.email} could give one."
    assert words in strip_tags(browser.post(reverse("agents:rule_preview"), alone).content.decode())
    answer = browser.post(reverse("agents:rule_new"), sent)
    assert answer.status_code == 302, answer.context["form"].errors
    rule = ApprovalRule.objects.get(name="Payments")
    assert (rule.roles, rule.approvals, rule.assurance) == ([], 2, "stepup")
    assert [team["slug"] for team in rule.teams] == [finance.slug]
    assert rule.alternatives[0]["roles"] == ["owner"]
    page = browser.get(reverse("agents:rule", args=[rule.pk]))
    token = page.context["form"].initial["token"]
    refused = browser.post(reverse("agents:rule", args=[rule.pk]), sent | {"approvals": 9, "or_1": 9, "token": token})
    assert refused.status_code == 422
    assert "It takes 9 approvals" in refused.content.decode()
    browser.post(reverse("agents:rule", args=[rule.pk]), sent | {"or_1": "", "or_who_1": [], "token": token})
    rule.refresh_from_db()
    assert (rule.version, rule.alternatives) == (2, [])


def test_a_row_with_people_and_no_number_asks_for_it(people, standard, enter):
    sent = {"name": "x", "roles": ["owner"], "approvals": 1, "denials": 1, "minutes": 9, "assurance": "slack"}
    page = enter(people.admin).post(reverse("agents:rule_new"), sent | {"or_1": "", "or_who_1": ["roles:admin"]})
    assert page.status_code == 422
    assert "How many approvals?" in page.content.decode()


def test_commands_write_the_ways(acme, people, standard, finance):
    def run(*arguments):
        call_command("set_approval_rule", "Payments", "--organization", acme.slug, *arguments, stdout=StringIO())
        return ApprovalRule.objects.get(name="Payments")

    rule = run("--roles", "none", "--teams", finance.slug, "--approvals", "2", "--or", "1:owner")
    assert (rule.roles, rule.alternatives[0]["approvals"]) == ([], 1)
    rule = run("--or", "none", "--assurance", "browser", "--no-confirm-critical", "--people", people.owner.email)
    assert (rule.alternatives, rule.assurance, rule.confirm_critical, rule.version) == ([], "browser", False, 2)
