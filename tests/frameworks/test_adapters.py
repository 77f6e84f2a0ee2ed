"""The published AAP adapters, in the programs that the documents show: people decide, and the model reads it."""

import tomllib

import pytest

from approvals import services
from approvals.models import Approval, ToolCall
from audit.clock import database_now
from tests.docs.pages import ROOT, blocks, table
from tests.frameworks.conftest import PAGE, Desk
from tests.frameworks.model import Model, Use

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = {
    "langgraph": "docs/langgraph.md",
    "pydantic-ai": "docs/pydantic-ai.md",
    "openai-agents": "docs/openai-agents.md",
    "google-adk": "docs/google-adk.md",
}
EVERY = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def program(page: str, label: str) -> str:
    [text] = [block.text for block in blocks(page, "python") if block.label == label]
    return text


def refund(amount: float) -> Use:
    return Use("issue_refund", {"order": "ord_1042", "amount": amount})


@EVERY
def test_a_model_reads_why_people_said_no_and_what_they_would_approve(desk: Desk, page: str) -> None:
    with (
        Model(refund(20.5), refund(900), refund(480), refund(312.5), "It is paid.") as model,
        desk.running(model, program(page, "refund.py"), "Please refund order ord_1042") as agent,
    ):
        first = desk.next(agent)
        assert (first.action, first.context_data["amount"]) == ("tool.issue_refund", 900)
        desk.world.decide(first.approval_id, "deny", reason="Never above 500 without a receipt")
        desk.change(desk.next(agent), {"amount": 312.5}, "The lamp was 312.50")
        last = desk.next(agent)
        desk.world.decide(last.approval_id, "approve")
        assert desk.end(agent) == ["paid 20.5 for ord_1042", "paid 312.5 for ord_1042", "It is paid."]
    paid, denied, changed, again = model.read
    assert "Paid." in paid
    assert "Never above 500 without a receipt" in denied
    assert "The lamp was 312.50" in changed
    assert "Ask again with amount: 312.5 instead of 480." in changed
    assert "Paid." in again
    last.refresh_from_db()
    assert (last.state, last.outcome, last.context_data) == (
        "approved",
        "success",
        {"order": "ord_1042", "amount": 312.5},
    )
    assert sorted(ToolCall.objects.values_list("outcome", flat=True)) == ["", "", "succeeded", "succeeded"]


@EVERY
def test_a_run_goes_on_in_another_process_when_nobody_decided_and_when_somebody_did(desk: Desk, page: str) -> None:
    text = program(page, "paused.py")
    with Model(refund(480), refund(312.5), "It is paid.") as model:
        said = desk.run(model, text, "ask", "ticket-7", "Please refund order ord_1042")
        late = desk.next()
        assert [line for line in said if line.startswith("waits for")] == said != []
        assert model.read == []
        expire(late)
        assert [line for line in desk.run(model, text, "wake", str(late.id)) if "paid" in line] == []
        assert "expired" in model.read[0]
        asked = desk.next()
        desk.run(model, text, "wake", str(asked.id))  # too early: it waits on
        desk.world.decide(asked.approval_id, "approve")
        assert desk.run(model, text, "wake", str(asked.id)) == ["paid 312.5 for ord_1042"]
        assert desk.run(model, text, "wake", str(asked.id)) == []
        assert "Paid." in model.read[1]
        assert model.said == 3
    asked.refresh_from_db()
    assert (late.state, asked.outcome, Approval.objects.count()) == ("expired", "success", 2)


def expire(approval: Approval) -> None:
    """Its day is over."""
    ended = database_now()
    Approval.objects.filter(id=approval.id).update(created_at="2026-01-01T00:00Z", expires_at=ended)
    ToolCall.objects.filter(id=approval.id).update(created_at="2026-01-01T00:00Z", deadline_at=ended)
    assert services.expire_due() == 1
    approval.refresh_from_db()


def test_what_an_approver_changed_is_what_a_tool_that_asks_by_itself_pays(desk: Desk) -> None:
    with (
        Model(refund(480), "It is paid.") as model,
        desk.running(model, program(PAGE, "edited.py"), "Please refund order ord_1042") as agent,
    ):
        asked = desk.next(agent)
        desk.change(asked, {"amount": 312.5}, "The lamp was 312.50")
        desk.world.decide(asked.approval_id, "approve", by=desk.world.colleague)
        assert desk.end(agent) == ["paid 312.5 for ord_1042", "It is paid."]
    assert model.read == ["Paid 312.5."]


def test_the_versions_of_the_page_are_those_of_the_lock() -> None:
    lock = tomllib.loads((ROOT / "tests/frameworks/uv.lock").read_text())
    locked = {package["name"]: package["version"] for package in lock["package"]}
    rows = table(PAGE, "package", "version")
    assert {row["package"]: row["version"] for row in rows} == {row["package"]: locked[row["package"]] for row in rows}
