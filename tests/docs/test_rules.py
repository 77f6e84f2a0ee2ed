"""docs/rules.md: every setting is explained and proved, and the examples make the sentences that they say they make."""

import ast
import re
import shlex
from io import StringIO

import pytest
from django.core.management import call_command
from msgspec import structs

from agents.models import ApprovalRule
from agents.words import rule_sentence
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


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("command", "sentence"), list(zip(EXAMPLES, SENTENCES, strict=True)), ids=lambda text: text[:40]
)
def test_an_example_makes_the_rule_it_says(command: str, sentence: str) -> None:
    organization = factories.an_organization()
    factories.a_member(organization, "owner")
    people = [factories.a_member(organization, "admin"), factories.a_member(organization, "approver")]
    for slug in TEAMS:
        team = factories.a_team(organization, *people)
        team.slug = slug
        team.save(update_fields=["slug"])
    _, name, *arguments = shlex.split(command)
    call_command(name, *arguments, "--organization", organization.slug, stdout=StringIO())
    assert rule_sentence(ApprovalRule.objects.get(organization=organization).snapshot()) == sentence


def test_there_are_five_examples() -> None:
    assert len(EXAMPLES) == len(SENTENCES) == 5
