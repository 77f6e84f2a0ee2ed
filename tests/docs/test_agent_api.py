"""docs/agent-api.md: its requests are sent to a server, and what it shows is what comes back."""

import re
import uuid
from typing import Any

import httpx
import msgspec
import pytest
from django.conf import settings

from accounts.models import User
from agents.models import Agent
from agents.opa import gate
from approvals.models import Approval
from approvals.services import review
from gateway import bodies
from gateway.app import UNIT
from gateway.parse import DEPTH, VALUES
from tests.docs.curl import curl
from tests.docs.pages import ROOT, Block, blocks, codes, read, table, tables
from tests.factories import a_key
from tests.server import Server
from warden.management.commands.seed_demo import SUPPORT, seed

PAGE = "docs/agent-api.md"
JSON = blocks(PAGE, "json")
# A block of shell and the answer that the page shows for it.
EXCHANGES = list(zip([block for block in blocks(PAGE, "sh") if block.label != "setup"], [
    "CheckAnswer", "CheckAnswer", "ApprovalAnswer", "ClaimAnswer", "", "LogAnswer",
], strict=True))  # fmt: skip


def shape(value: Any) -> Any:
    """The names of an answer, and its texts where they are not of one moment."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, str) and re.search(r"\d{4}-|[0-9a-f]{8}-|[0-9a-f]{24}|_[0-9A-Z]{26}|^http", value):
        return "…"
    return value


class Door:
    """The demonstration on a running server, and an agent that does what the page says."""

    def __init__(self, server: Server) -> None:
        self.organization = seed("correct horse battery staple")
        _, self.key = a_key(self.organization, Agent.objects.get(slug=SUPPORT))
        self.url = server.url
        self.approval = self.state = ""

    def prepare(self, state: str) -> None:
        """Makes $APPROVAL one that is in this state."""
        if state == self.state:
            return
        self.state = state
        context = {"amount": 312.5, "customer_id": "cus_ABC123"}
        body: dict[str, Any] = {"agent_id": SUPPORT, "action": "stripe.refund", "context": context}
        headers = {"X-API-Key": self.key}
        self.approval = httpx.post(f"{self.url}/sdk/check", json=body, headers=headers).json()["approval_id"]
        if state == "pending":
            return
        approval = Approval.objects.get(agent__slug=SUPPORT, state="pending")
        review(
            approval_id=approval.id,
            by=User.objects.get(email="approver@example.com"),
            organization=self.organization,
            verdict="approve",
            reason="Carrier confirms the loss",
            digest=approval.digest,
            via="browser",
        )
        if state == "claimed":
            headers["Idempotency-Key"] = uuid.uuid4().hex
            httpx.post(f"{self.url}/sdk/approvals/{self.approval}/claim", headers=headers).raise_for_status()

    def send(self, command: str) -> httpx.Response:
        return curl(command, AGENTWARDEN_BASE_URL=self.url, AGENTWARDEN_API_KEY=self.key, APPROVAL=self.approval)


@pytest.fixture
def door(server: Server) -> Door:
    return Door(server)


@pytest.mark.django_db(transaction=True)
def test_the_requests_of_the_page_get_the_answers_it_shows(door: Door) -> None:
    shown = iter(block for block in JSON if block.label != "ErrorAnswer")
    for block, kind in EXCHANGES:
        if block.label:
            door.prepare(block.label)
        answer = door.send(block.text)
        assert answer.status_code == 200, answer.text
        if kind:
            expected = next(shown)
            assert expected.label == kind
            got = answer.json()["claim"] if kind == "ClaimAnswer" else answer.json()
            assert shape(got) == shape(msgspec.json.decode(expected.text))
    assert next(shown, None) is None


@pytest.mark.parametrize("block", JSON, ids=lambda block: block.label)
def test_the_json_of_the_page_is_of_the_servers_own_types(block: Block) -> None:
    struct = getattr(bodies, block.label)
    value = msgspec.json.decode(block.text)
    msgspec.json.decode(block.text, type=struct)
    assert value.keys() <= {field.name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize("name", ["CheckBody", "CheckAnswer", "LogBody", "CommentBody", "CommentAnswer"])
def test_every_field_is_explained(name: str) -> None:
    [rows] = [rows for page in (PAGE, "docs/conversation.md") for rows in tables(page) if name in rows[0]]
    struct = getattr(bodies, name)
    explained = [code for row in rows for code in codes(row[name])]
    assert sorted(explained) == sorted(field.name for field in msgspec.structs.fields(struct))


def test_every_status_of_a_log_is_named() -> None:
    [rows] = [rows for rows in tables(PAGE) if "LogBody" in rows[0]]
    [said] = [row[""] for row in rows if row["LogBody"] == "status"]
    assert sorted(codes(said)) == sorted(bodies.LogStatus.__args__)  # type: ignore[attr-defined]


def test_every_error_code_is_in_the_table() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "gateway").glob("*.py"))
    known = re.findall(r'error\((\d{3}), [^\n]*"([a-z_]+)"\)', source)
    known += [("409", code) for code in gate.REFUSALS]
    assert sorted((row["status"], row["code"]) for row in table(PAGE, "code", "status")) == sorted(known)


def test_the_numbers_are_those_of_the_door() -> None:
    limits = read(PAGE).partition("## Limits")[2].partition("##")[0].replace("\n ", "")
    for said in (
        f"{settings.GATEWAY_RATE_LIMIT:,} requests a minute",
        f"{settings.GATEWAY_BODY_LIMIT:,} bytes",
        f"Each {UNIT:,} bytes",
        f"{DEPTH} levels and {VALUES:,} values",
    ):
        assert said in limits
