"""docs/opa.md: its question is sent to a server, and its tables are the code's."""

import re

import msgspec
import pytest

from agents.models import Agent
from gateway import authz, bodies
from tests.docs.curl import curl
from tests.docs.pages import ROOT, blocks, codes, read, table, tables
from tests.docs.test_agent_api import shape
from tests.factories import a_key
from tests.server import Server
from warden.management.commands.seed_demo import SUPPORT, seed

PAGE = "docs/opa.md"


@pytest.mark.django_db(transaction=True)
def test_the_question_of_the_page_gets_the_answer_it_shows(server: Server) -> None:
    organization = seed("correct horse battery staple")
    agent = Agent.objects.get(slug=SUPPORT)
    Agent.objects.filter(pk=agent.pk).update(spiffe_id="spiffe://example.com/agent/support/production")
    _, key = a_key(organization, agent, scopes=["authz:query"])
    [asked], [shown] = blocks(PAGE, "sh"), blocks(PAGE, "json")
    answer = curl(asked.text, AGENTWARDEN_BASE_URL=server.url, OPA_KEY=key)
    assert answer.status_code == 200, answer.text
    assert shape(answer.json()) == shape(msgspec.json.decode(shown.text))
    msgspec.json.decode(shown.text, type=getattr(bodies, shown.label))


@pytest.mark.parametrize("name", ["DataInput", "DataResult"])
def test_every_field_is_explained(name: str) -> None:
    [rows] = [rows for rows in tables(PAGE) if name in rows[0]]
    explained = [code for row in rows for code in codes(row[name])]
    assert sorted(explained) == sorted(field.name for field in msgspec.structs.fields(getattr(bodies, name)))


def test_every_reason_not_to_ask_is_in_the_table() -> None:
    assert {row["policy_id"] for row in table(PAGE, "policy_id")} == authz.REASONS.keys()


def test_the_parameters_of_opa_that_are_named_are_those_that_are_tried() -> None:
    [said] = re.findall(r"in the query \(([^)]*)\)", read(PAGE))
    tried = (ROOT / "tests/gateway/test_data_api.py").read_text()
    assert [name for name in codes(said) if name not in tried] == []
