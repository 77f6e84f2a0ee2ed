"""docs/policy.md: its file is one that is applied, and its errors are told as it says."""

import shlex

import pytest
import yaml
from agentwarden.cli._table import parser
from jsonschema import Draft202012Validator

from accounts.by import COMMAND_LINE
from accounts.models import Organization
from agents.code.document import schema
from agents.code.reading import Broken, File
from agents.services import policy as policies
from audit.clock import database_now
from tests.docs.pages import blocks
from tests.factories import a_member, an_organization

PAGE = "docs/policy.md"


@pytest.fixture
def organization(db: None) -> Organization:
    made = an_organization()
    a_member(made, "owner", "owner@example.com")
    a_member(made, "admin")
    return made


def shown(label: str) -> str:
    [block] = [each for each in blocks(PAGE, "yaml") if each.label == label]
    return block.text


def test_the_file_is_applied_as_it_is(organization: Organization) -> None:
    files = [File("warden.yaml", shown("warden.yaml"))]
    values = {"env:OPS_MAIL": "ops@example.com"}
    plan = policies.plan(organization, files, values=values)
    assert plan.summary == "8 to add, 0 to change, 0 to remove"
    policies.apply(organization=organization, by=COMMAND_LINE, files=files, expected=plan.digest, values=values)


def test_an_error_is_told_as_the_page_says(organization: Organization) -> None:
    text = shown("warden.yaml").replace("max_amount: 50,", "max_amount: -50,")
    with pytest.raises(Broken) as wrong:
        policies.plan(organization, [File("warden.yaml", text)], values={"env:OPS_MAIL": "ops@example.com"})
    assert [str(problem) for problem in wrong.value.problems] == [
        line for block in blocks(PAGE, "") for line in block.text.splitlines() if line.startswith("warden.yaml:")
    ]


def test_the_schema_takes_it() -> None:
    assert list(Draft202012Validator(dict(schema())).iter_errors(yaml.safe_load(shown("warden.yaml")))) == []


def test_the_scenarios_hold(organization: Organization) -> None:
    files = [File("warden.yaml", shown("warden.yaml")), File("tests.yaml", shown("tests.yaml"))]
    report = policies.run_tests(organization, files, now=database_now())
    assert [each.wrong for each in report.failed] == []
    assert len(report.results) == 4


def test_the_pipeline_runs_commands_that_there_are() -> None:
    workflow = yaml.safe_load(shown(".github/workflows/policy.yaml"))
    lines = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("agentwarden ")]
    assert len(commands) == 6
    for words in commands:
        parser(words[0]).parse_args(words)
