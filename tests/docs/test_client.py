"""docs/client.md and README.md: the Python they show works, and the tables name what the client has."""

import inspect
import re
from types import SimpleNamespace
from typing import Any

import agentwarden
import pytest
from agentwarden import AgentWarden, AsyncAgentWarden
from agentwarden.metrics import PrometheusMetrics
from agentwarden.testing import FakeWarden
from agentwarden.tracing import OpenTelemetry
from prometheus_client import CollectorRegistry

from tests.docs.pages import blocks, read, table

PAGE = "docs/client.md"
EXAMPLES = {block.label: block.text for block in blocks(PAGE, "python")}
AGENT = "customer-support-bot"


class World:
    """A Warden in memory, and payments that are written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = FakeWarden()
        self.fake.allow("stripe.refund", up_to=50)
        self.fake.ask("stripe.refund", up_to=1000, decide="approved")
        self.fake.allow("email.send")
        self.paid: list[tuple[Any, ...]] = []
        monkeypatch.setattr(agentwarden, "AgentWarden", self.fake.client)
        self.names: dict[str, Any] = {
            "AgentWarden": self.fake.client,
            "payments": SimpleNamespace(refund=lambda *order: self.paid.append(order)),
        }

    def run(self, text: str) -> dict[str, Any]:
        exec(compile(text, PAGE, "exec"), self.names)
        return self.names


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_guarded_function_pays_what_was_approved(world: World) -> None:
    world.run(EXAMPLES["guard"])["guard"].close()
    assert world.paid == [("ord_1042", 312.5)]
    assert [(log.agent_id, log.status) for log in world.fake.logs] == [(AGENT, "success")]


def test_execute_pays_and_logs(world: World) -> None:
    world.run(EXAMPLES["execute"])
    assert world.paid == [("ord_1042", 20)]
    assert [log.status for log in world.fake.logs] == ["success"]


def test_the_steps_wait_claim_pay_and_log(world: World) -> None:
    world.run(EXAMPLES["steps"])
    assert world.paid == [("ord_1042", 312.5)]
    assert world.fake.claims == [world.fake.logs[0].approval_id]


async def test_the_asynchronous_client_is_awaited(world: World) -> None:
    sent: list[str] = []

    async def send() -> None:
        sent.append("mail")

    names = {"AsyncAgentWarden": world.fake.async_client, "send": send}
    body = "".join(f"    {line}\n" for line in EXAMPLES["async"].splitlines())
    exec(f"async def example():\n{body}", names)
    await names["example"]()  # type: ignore[operator]
    assert sent == ["mail"]


async def test_what_a_person_asks_is_answered() -> None:
    """docs/conversation.md."""
    fake, names = FakeWarden(), dict[str, Any]()
    fake.ask("stripe.refund")
    [example] = blocks("docs/conversation.md", "python")
    exec(example.text, names)
    async with fake.async_client() as guard:
        asked = await guard.check(AGENT, "stripe.refund", {"amount": 300})
        await names["answer_questions"](guard, asked.approval_id, str)  # nobody has asked
        fake.question(asked.approval_id, "Which parcel?")
        for _ in range(2):
            await names["answer_questions"](guard, asked.approval_id, lambda text: f"{text} The blue one")
        found = await guard.get_approval(asked.approval_id)
    assert [comment.text for comment in found.comments] == ["Which parcel?", "Which parcel? The blue one"]


def test_fail_open_goes_ahead_only_while_nobody_answers(world: World) -> None:
    with world.run(EXAMPLES["fail_open"])["guard"] as guard:
        assert not guard.check("bot", "page.view")
        world.fake.disconnect()
        assert guard.check("bot", "page.view").fail_open
        world.fake.reconnect()


def test_a_batch_is_checked_once_and_sent_to_each(world: World) -> None:
    world.fake.allow("email.send_bulk")
    sent: list[str] = []
    with world.fake.client() as guard:
        world.names.update(guard=guard, recipients=["ann", "bob"], send=sent.append)
        world.run(EXAMPLES["batch"])
    assert sent == ["ann", "bob"]
    assert [check.context for check in world.fake.checks] == [{"subject": "Your parcel", "count": 2}]
    assert [log.status for log in world.fake.logs] == ["success"]


def test_a_failure_is_logged_as_data(world: World) -> None:
    class CourierError(Exception):
        code = "no_such_street"

    def ship(order: str) -> None:
        raise CourierError(order)

    with world.fake.client() as guard:
        world.names.update(guard=guard, ship=ship, CourierError=CourierError, error_context=agentwarden.error_context)
        world.run(EXAMPLES["failure"])
    [log] = world.fake.logs
    assert log.status == "failed"
    assert log.context
    said = re.findall(r"`(\w+)`", read(PAGE).partition("\n`error_context` gives ")[2].partition(":")[0])
    assert log.context.keys() - {"order"} == set(said) - {"request_id", "retry_count"}


def test_observers_count_what_the_table_names(world: World) -> None:
    registry = CollectorRegistry()
    world.names.update(PrometheusMetrics=lambda: PrometheusMetrics(registry), OpenTelemetry=OpenTelemetry)
    world.run(EXAMPLES["observers"])["guard"].close()
    told = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    assert {row["metric"] for row in table(PAGE, "metric", "meaning")} == told


def test_the_example_for_tests_passes() -> None:
    names: dict[str, Any] = {}
    exec(EXAMPLES["tests"], names)
    names["test_a_large_refund_waits_for_a_person"]()


def test_the_readme_shows_the_same_eight_lines() -> None:
    [shown] = blocks("README.md", "python")
    assert shown.text == EXAMPLES["guard"]
    assert len([line for line in shown.text.splitlines() if line]) <= 8
    assert shown.text in read("sdk/README.md")


@pytest.mark.parametrize("client", [AgentWarden, AsyncAgentWarden])
def test_every_setting_is_in_the_table_with_its_default(client: type) -> None:
    parameters = list(inspect.signature(client).parameters.values())
    rows = table(PAGE, "parameter", "default")
    assert [(row["parameter"], row["default"]) for row in rows] == [
        (each.name, repr(each.default)) for each in parameters
    ]


def test_every_method_is_in_the_table() -> None:
    methods = [name for name, _ in inspect.getmembers(AgentWarden, inspect.isfunction) if not name.startswith("_")]
    assert sorted(row["method"] for row in table(PAGE, "method")) == sorted(methods)


def test_every_error_is_in_the_table() -> None:
    errors = {name for name in agentwarden.__all__ if name.endswith("Error")} - {"AgentWardenError"}
    assert {row["error"] for row in table(PAGE, "error", "when")} == errors
