"""docs/management-api.md: the table names every call there is, and the examples decide."""

import pytest

from accounts.by import COMMAND_LINE
from accounts.models import Membership
from accounts.services import tokens
from agents.models import Agent
from approvals.models import Approval
from tests.docs.curl import curl
from tests.docs.pages import blocks, table
from tests.factories import a_key
from tests.server import Server
from warden.api import urls  # noqa: F401 - the endpoints register themselves
from warden.api.endpoint import ENDPOINTS
from warden.management.commands.seed_demo import SUPPORT, seed

PAGE = "docs/management-api.md"


def test_every_call_is_in_the_table_with_its_scope() -> None:
    said = [(row["call"], row["scope"]) for row in table(PAGE, "call", "scope")]
    assert sorted(said) == sorted((f"{each.method} /api/{each.path}", each.scope) for each in ENDPOINTS)


@pytest.mark.django_db(transaction=True)
def test_the_examples_find_and_approve_what_an_agent_asked(server: Server) -> None:
    organization = seed("correct horse battery staple")
    _, key = a_key(organization, Agent.objects.get(slug=SUPPORT))
    [asked, *_] = [block.text for block in blocks("docs/agent-api.md", "sh") if "312.5" in block.text]
    curl(asked, AGENTWARDEN_BASE_URL=server.url, AGENTWARDEN_API_KEY=key)

    member = Membership.objects.get(user__email="approver@example.com")
    scopes = ["approvals:read", "approvals:decide"]
    _, token = tokens.create(member=member, name="script", scopes=scopes, days=None, by=COMMAND_LINE)
    find, approve = [block.text for block in blocks(PAGE, "sh") if block.label != "setup"]
    [found] = curl(find, WARDEN=server.url, TOKEN=token).json()
    assert {"id", "context", "digest"} <= found.keys()
    decided = curl(approve, WARDEN=server.url, TOKEN=token, APPROVAL=found["id"], DIGEST=found["digest"])
    assert decided.status_code == 200, decided.text
    assert Approval.objects.get().state == "approved"
