"""docs/rules.md: every setting is explained and proved; the examples make the sentences they say, and decide so."""

import ast
import re
import shlex
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from msgspec import structs

from agents.models import ApprovalRule
from agents.words import rule_sentence
from approvals import clock, rules, services
from approvals.models import Approval
from audit.clock import database_now
from tests import factories
from tests.docs.pages import ROOT, blocks, codes, read, table
from warden.api.bodies import ChangeRule

PAGE = "docs/rules.md"
TEAMS = re.findall(r"`([a-z-]+)`", read(PAGE).partition("They need the teams")[2].partition("\n\n")[0])
EXAMPLES = [block.text.strip() for block in blocks(PAGE, "sh")]
SENTENCES = re.findall(r"^> (.+)$", read(PAGE), re.M)


def test_every_setting_is_explained_once() -> None:
    settings = [field.name for field in structs.fields(ChangeRule)]
    assert sorted(row["setting"] for row in table(PAGE, "setting", "enforces")) == sorted(settings)


@pytest.mark.parametrize("row", table(PAGE, "setting", "enforces"), ids=lambda row: row["setting"])
def test_the_test_that_proves_a_setting_exists(row: dict[str, str]) -> None:
    for named in codes(row["proved by"]):
        file, _, test = named.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, named


class House:
    """An organization with the teams that the page names, two approvers in each, and an agent that nobody owns."""

    def __init__(self) -> None:
        self.organization = factories.an_organization()
        self.people = {role: factories.a_member(self.organization, role) for role in ("owner", "admin", "approver")}
        for slug in TEAMS:
            two = [factories.a_member(self.organization, "approver") for _ in "12"]
            team = factories.a_team(self.organization, *two)
            team.slug = slug
            team.save(update_fields=["slug"])
            self.people |= {f"{slug} {number}": person for number, person in enumerate(two, start=1)}

    def rule(self, command: str) -> ApprovalRule:
        _, name, *arguments = shlex.split(command)
        call_command(name, *arguments, "--organization", self.organization.slug, stdout=StringIO())
        return ApprovalRule.objects.get(organization=self.organization)

    def comes_to(self, approval: Approval, said: str) -> str:
        """What a vote comes to, or why it is refused: `finance 1: approve`, `owner: deny because …`, by somebody who
        has just given a second factor and typed the action.
        """
        who, _, what = said.partition(": ")
        verdict, _, reason = what.partition(" because ")
        try:
            return services.review(
                approval_id=approval.id,
                by=self.people[who],
                organization=self.organization,
                verdict="approve" if verdict == "approve" else "deny",
                reason=reason,
                digest=approval.digest,
                via="browser",
                assurance="stepup",
                typed=approval.action,
            ).state
        except rules.Refused as refused:
            return refused.code


@pytest.fixture
def house(db: None) -> House:
    return House()


@pytest.mark.parametrize(
    ("command", "sentence"), list(zip(EXAMPLES, SENTENCES, strict=True)), ids=lambda text: text[:40]
)
def test_an_example_makes_the_rule_it_says(house: House, command: str, sentence: str) -> None:
    assert rule_sentence(house.rule(command).snapshot()) == sentence


# Of each example: who may not, as a code, and what the votes of others come to. `after`: minutes for which nobody did.
PLAYED = [
    ("Refunds", 0, ["admin: approve -> role", "support 1: deny -> reason_required", "support 1: approve -> approved"]),
    ("Refunds", 31, ["finance 1: approve -> role", "admin: approve -> approved"]),
    ("Deploys", 0, ["admin: approve -> role", "release 1: approve -> pending", "release 2: approve -> approved"]),
    ("Deploys", 0, ["release 1: deny because it is late -> pending", "owner: approve -> approved"]),
    ("Deploys", 0, ["release 1: deny because x -> pending", "release 2: deny because y -> denied"]),
    (
        "Deletion",
        0,
        [
            "owner: approve because it is old -> role",
            "data-owners 1: approve -> reason_required",
            "data-owners 1: approve because it is old -> pending",
            "data-owners 2: approve because it is old -> approved",
        ],
    ),
    ("Mailings", 0, ["owner: approve because x -> role", "marketing 1: approve because it was read -> approved"]),
    ("Mailings", 0, ["admin: approve -> reason_required", "admin: approve because it was read -> approved"]),
    ("Payments", 0, ["owner: approve -> role", "finance 1: approve -> pending", "finance 2: approve -> approved"]),
    ("Payments", 0, ["directors 1: approve -> approved"]),
    ("Payments", 61, ["owner: approve -> pending", "finance 1: approve -> approved"]),
]


@pytest.mark.parametrize(("name", "after", "votes"), PLAYED, ids=[f"{name}: {votes[-1]}" for name, _, votes in PLAYED])
def test_an_example_decides_as_it_says(house: House, name: str, after: int, votes: list[str]) -> None:
    [command] = [each for each in EXAMPLES if f" {name} " in each]
    rule = house.rule(command).snapshot()
    made = database_now() - timedelta(minutes=after)
    bot = factories.an_agent(house.organization)
    row = factories.an_approval(agent=bot, rule=rule, risk="critical", now=made, minutes=rule["minutes"])
    if after:
        Approval.objects.filter(pk=row.pk).update(escalate_at=made + timedelta(minutes=after - 1))
        clock.escalate_due()
    for vote in votes:
        said, _, comes_to = vote.partition(" -> ")
        assert house.comes_to(row, said) == comes_to, vote


def test_each_example_is_played() -> None:
    assert {name for name, _, _ in PLAYED} == {shlex.split(command)[2] for command in EXAMPLES}


def test_there_are_five_examples() -> None:
    assert len(EXAMPLES) == len(SENTENCES) == 5
