"""The steps of a rule: by names in the form, the API and the command, by ids in the database."""

import json
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.urls import reverse

from agents.models import ApprovalRule
from agents.services import rules
from agents.words import rule_sentence
from audit.leaf import SYSTEM
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(acme):
    return factories.a_member(acme, "approver", "ann@example.com")


@pytest.fixture
def rule(acme, ann):
    team = factories.a_team(acme, ann)
    steps = [
        {"after_minutes": 40, "people": ["Ann@example.com "]},
        {"after_minutes": 30, "roles": ["admin", "owner"], "teams": [team.slug]},
    ]
    return rules.create_rule(organization=acme, by=SYSTEM, name="Careful", roles=["approver"], escalation=steps)


def test_steps_are_kept_by_ids_soonest_first_and_told_in_words(acme, ann, rule):
    rule.refresh_from_db()
    first, second = rule.snapshot()["escalation"]
    assert (first["after_minutes"], first["roles"]) == (30, ["owner", "admin"])
    assert second["people"] == [{"id": str(ann.id), "email": "ann@example.com"}]
    slug = first["teams"][0]["slug"]
    words = rule_sentence(rule.snapshot())
    assert f"After 30 minutes owners, admins and the team {slug} may decide too." in words
    assert "After 40 minutes ann@example.com may decide too." in words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"after_minutes": 0, "roles": ["admin"]}, "whole number of minutes"),
        ({"after_minutes": 60, "roles": ["admin"]}, "too late"),
        ({"after_minutes": 10}, "Say who is asked"),
        ({"after_minutes": 10, "roles": ["viewer"]}, "roles that may decide"),
        ({"after_minutes": 10, "teams": ["ghosts"]}, "no ghosts here"),
        ({"after_minutes": 10, "people": ["eve@example.com"]}, "no eve@example.com here"),
        ({"after_minutes": 10, "people": ["vic@example.com"]}, "may not decide"),
    ],
)
def test_a_step_that_could_not_work_is_refused(acme, ann, step, words):
    factories.a_member(factories.an_organization(), "owner", "eve@example.com")
    factories.a_member(acme, "viewer", "vic@example.com")
    with pytest.raises(ValidationError) as refused:
        rules.create_rule(organization=acme, by=SYSTEM, name="Odd", escalation=[step])
    assert words in str(refused.value)


def test_a_rule_that_expires_before_its_step_is_refused(rule):
    with pytest.raises(ValidationError, match="too late"):
        rules.change_rule(rule=rule, by=SYSTEM, minutes=35)


def test_the_form_writes_steps(enter, people, acme, ann, rule):
    browser = enter(people.admin)
    page = browser.get(_address(rule))
    assert "Step 3: after (minutes)" in page.content.decode()
    form = page.context["form"]
    sent = {
        "token": form.initial["token"],
        "name": rule.name,
        "roles": ["approver"],
        "approvals": 1,
        "denials": 1,
        "minutes": 60,
        "after_1": 5,
        "who_1": ["roles:owner", "people:ann@example.com"],
        "after_2": "",
        "after_3": 20,
        "who_3": ["roles:admin"],
    }
    answer = browser.post(_address(rule), sent)
    assert answer.status_code == 302, answer.context["form"].errors
    rule.refresh_from_db()
    assert [step["after_minutes"] for step in rule.escalation] == [5, 20]
    browser.get(_address(rule))
    answer = browser.post(_address(rule), sent | {"after_1": "", "token": ""})
    assert answer.status_code in (409, 422)
    assert "After how many minutes?" in answer.content.decode()


def _address(rule):
    return reverse("agents:rule", args=[rule.pk])


def test_the_command_writes_steps_and_takes_them_away(acme, ann, rule):
    out = StringIO()
    call_command(
        "set_approval_rule",
        "Careful",
        "--organization",
        acme.slug,
        "--escalate",
        "15:admin,ann@example.com",
        "--json",
        stdout=out,
    )
    assert json.loads(out.getvalue())["escalation"][0]["people"][0]["email"] == "ann@example.com"
    call_command("set_approval_rule", "Careful", "--organization", acme.slug, "--escalate", "none", stdout=out)
    assert ApprovalRule.objects.get(pk=rule.pk).escalation == []
