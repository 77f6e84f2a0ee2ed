"""Approval rules: one default, always; a rule in use stays."""

import pytest
from django.core.exceptions import ValidationError

from accounts.rules import Refused
from agents.models import ApprovalRule
from agents.services import rules
from agents.services.errors import Conflict
from agents.services.facts import token
from agents.services.permissions import create_permission
from audit.models import Event


def make(acme, people, **fields):
    return rules.create_rule(organization=acme, by=people.admin, **({"name": "Two eyes"} | fields))


def test_the_first_rule_becomes_the_default(acme, people):
    assert make(acme, people).is_default
    assert not make(acme, people, name="Second").is_default


def test_another_default_replaces_the_first_and_both_are_recorded(acme, people, standard):
    rule = make(acme, people, is_default=True, approvals=2)
    standard.refresh_from_db()
    assert (rule.is_default, standard.is_default) == (True, False)
    rules.change_rule(rule=standard, by=people.admin, is_default=True)
    assert ApprovalRule.objects.get(organization=acme, is_default=True) == standard
    events = Event.objects.filter(kind="person:rule:change").order_by("-at")
    assert events[0].data["after"] == {"is_default": True}
    assert events[1].data["after"] == {"is_default": False}


def test_there_is_always_a_default(acme, people, standard):
    with pytest.raises(Refused):
        rules.change_rule(rule=standard, by=people.admin, is_default=False)
    with pytest.raises(Refused):
        rules.delete_rule(rule=standard, by=people.admin)


@pytest.mark.parametrize(
    "fields",
    [
        {"roles": []},
        {"roles": ["viewer"]},
        {"roles": ["auditor", "owner"]},
        {"roles": ["robot"]},
        {"approvals": 0},
        {"approvals": 11},
        {"denials": 0},
        {"minutes": 0},
        {"minutes": 43_201},
        {"name": ""},
        {"name": "Standard"},
    ],
)
def test_a_rule_under_which_nobody_could_decide_is_refused(acme, people, standard, fields):
    with pytest.raises(ValidationError):
        make(acme, people, **fields)
    with pytest.raises(ValidationError):
        rules.change_rule(rule=make(acme, people), by=people.admin, **fields)


def test_a_rule_that_tiers_use_cannot_be_deleted(acme, people, standard, bot):
    rule = make(acme, people)
    row = create_permission(agent=bot, by=people.admin, action="a.b", effect="ask", approval_rule=rule)
    with pytest.raises(Refused, match=f"{bot.slug}: a.b"):
        rules.delete_rule(rule=rule, by=people.admin)
    row.delete()
    rules.delete_rule(rule=rule, by=people.admin)
    assert Event.objects.get(kind="person:rule:delete").data["before"]["name"] == "Two eyes"


def test_the_second_of_two_editors_is_told(acme, people, standard):
    seen = token(standard)
    rules.change_rule(rule=standard, by=people.owner, expected=seen, minutes=5)
    with pytest.raises(Conflict):
        rules.change_rule(rule=standard, by=people.admin, expected=seen, minutes=500)
    with pytest.raises(Conflict):
        rules.delete_rule(rule=standard, by=people.admin, expected=seen)
    standard.refresh_from_db()
    assert standard.minutes == 5


def test_only_those_who_configure_agents_change_rules(acme, people, standard):
    for who in (people.approver, people.viewer, people.auditor, people.stranger):
        with pytest.raises(Refused):
            rules.create_rule(organization=acme, by=who, name="x")
        with pytest.raises(Refused):
            rules.change_rule(rule=standard, by=who, minutes=1)
        with pytest.raises(Refused):
            rules.delete_rule(rule=standard, by=who)
