"""agentwarden mcp-proxy between a real MCP client and real MCP servers, asking the running Warden."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import types
from mcp.types import CreateMessageResult, TextContent

from agents.models import Permission
from approvals import edits
from approvals.models import Approval
from approvals.rules import Verdict
from approvals.services import review
from audit.models import Event
from tests import factories
from tests.client.mcp_world import EVERYTHING, TIME, in_database, proxied, text, with_late_answers
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
MODES = ["legacy", "auto"]


async def permit(world: World, **tiers: str) -> None:
    """mcp__bank__pay="ask" is a tier for mcp.bank.pay."""
    for action, effect in tiers.items():
        fields = {"action": action.replace("__", ".", 2), "effect": effect}
        await in_database(lambda fields=fields: Permission.objects.create(agent=world.bot, **fields))


async def eventually[T](look: Callable[[], T | None]) -> T:
    """What `look` finds in the database, once it finds something."""
    with anyio.fail_after(30):
        while not (found := await in_database(look)):  # noqa: ASYNC110 - the database sends no events here
            await anyio.sleep(0.05)
    return found


async def decide(world: World, verdict: Verdict, reason: str = "fine") -> None:
    """A person decides what waits."""
    approval = await eventually(lambda: Approval.objects.filter(state="pending").first())
    await in_database(
        lambda: review(
            approval_id=approval.id,
            by=world.approver,
            organization=world.acme,
            verdict=verdict,
            reason=reason,
            digest=approval.digest,
            via="browser",
        )
    )


def logs() -> list[tuple[str, str]]:
    """What agents logged of their decisions: action and status."""
    found = Event.objects.filter(kind="agent:action:log").exclude(target="")
    return sorted((event.action, event.result) for event in found)


@pytest.mark.parametrize("mode", MODES)
async def test_an_allowed_tool_of_a_server_from_pypi_answers(world: World, mode: str) -> None:
    await permit(world, mcp__time__get_current_time="allow")
    async with proxied(world, "time", TIME, mode=mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"get_current_time", "convert_time"}
        told = await client.call_tool("get_current_time", {"timezone": "Europe/Berlin"})
        assert json.loads(text(told))["timezone"] == "Europe/Berlin"
        refused = await client.call_tool(
            "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "UTC"}
        )
    assert refused.is_error
    assert text(refused) == (
        "Warden denied this call: No permission for action 'mcp.time.convert_time'. The tool was not called."
    )


async def test_a_person_is_waited_for_with_signs_of_life(world: World) -> None:
    await permit(world, mcp__bank__pay="ask")
    signs: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        signs.append(message or "")

    async with proxied(world, "bank", EVERYTHING, mode="legacy") as client, anyio.create_task_group() as people:
        people.start_soon(decide, world, "approve")
        paid = await client.call_tool("pay", {"amount": 42.5, "to": "ann"}, progress_callback=progress)
    assert text(paid) == "paid 42.5 to ann"
    approval = await in_database(Approval.objects.get)
    assert signs[0].startswith("Waiting for a person to decide: http")
    assert approval.claimed_at is not None
    assert json.loads(approval.context) == {"amount": 42.5, "to": "ann"}


async def test_what_a_person_denies_is_not_done_and_the_model_reads_why(world: World) -> None:
    await permit(world, mcp__bank__pay="ask")
    async with proxied(world, "bank", EVERYTHING) as client, anyio.create_task_group() as people:
        people.start_soon(decide, world, "deny", "Ann was paid yesterday")
        refused = await client.call_tool("pay", {"amount": 42.5, "to": "ann"})
    assert refused.is_error
    assert f"denied by {world.approver.email}: Ann was paid yesterday" in text(refused)


async def change(world: World, **values: Any) -> None:
    """A person changes what waits, and another approves it so."""
    approval = await eventually(lambda: Approval.objects.filter(state="pending").first())
    await in_database(
        lambda: edits.edit(
            approval_id=approval.id,
            by=world.approver,
            organization=world.acme,
            values=values,
            reason="Less.",
            digest=approval.digest,
            via="browser",
        )
    )
    approval = await in_database(lambda: Approval.objects.get(id=approval.id))
    await in_database(
        lambda: review(
            approval_id=approval.id,
            by=world.colleague,
            organization=world.acme,
            verdict="approve",
            reason="",
            digest=approval.digest,
            via="browser",
        )
    )


@pytest.mark.parametrize("wait", ["20", "0"], ids=["while it waits", "between two calls"])
async def test_the_tool_runs_with_what_a_person_changed_and_never_as_it_was_asked(world: World, wait: str) -> None:
    await permit(world, mcp__bank__pay="ask")
    fields = {"edits_allowed": True, "edit_fields": ["amount"]}
    await in_database(lambda: Permission.objects.update(approval_rule=factories.a_rule(world.acme, **fields)))
    asked = {"amount": 42.5, "to": "ann"}
    async with proxied(world, "bank", EVERYTHING, "--wait", wait) as client:
        if wait == "0":
            assert "Nobody has decided yet" in text(await client.call_tool("pay", asked))
            await change(world, amount=12.5)
            paid = await client.call_tool("pay", asked)
        else:
            async with anyio.create_task_group() as people:
                people.start_soon(lambda: change(world, amount=12.5))
                paid = await client.call_tool("pay", asked)
    assert text(paid) == "paid 12.5 to ann"
    approval = await in_database(Approval.objects.get)
    assert (approval.is_edited, approval.claimed_at is not None) == (True, True)


async def test_nobody_decides_and_the_call_ends_in_time(world: World) -> None:
    await permit(world, mcp__bank__pay="ask")
    async with proxied(world, "bank", EVERYTHING, "--wait", "0.2") as client:
        refused = await client.call_tool("pay", {"amount": 42.5, "to": "ann"})
    assert refused.is_error
    assert "Nobody has decided yet" in text(refused)


async def test_what_came_of_a_call_is_logged_beside_its_decision(world: World) -> None:
    await permit(world, mcp__bank__pay="allow", mcp__bank__fail="allow")
    async with proxied(world, "bank", EVERYTHING) as client:
        await client.call_tool("pay", {"amount": 1, "to": "ann"})
        assert (await client.call_tool("fail", {})).is_error
    assert await in_database(logs) == [("mcp.bank.fail", "failed"), ("mcp.bank.pay", "success")]


@pytest.mark.parametrize("late", [0.0, 2.0], ids=["waiting", "before it hears that it has to wait"])
async def test_a_cancelled_wait_asks_nobody_any_more(world: World, late: float) -> None:
    await permit(world, mcp__bank__pay="ask")
    async with (
        with_late_answers(world, late) as reached,
        proxied(reached, "bank", EVERYTHING, mode="legacy") as client,
    ):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def give_up() -> None:
                    await eventually(lambda: Approval.objects.filter(state="pending").first())
                    scope.cancel()

                tasks.start_soon(give_up)
                await client.call_tool("pay", {"amount": 42.5, "to": "ann"})
        await eventually(lambda: Approval.objects.filter(state="cancelled").first())
        assert (await client.list_tools()).tools  # and the session goes on


async def test_everything_else_passes_through(world: World) -> None:
    await permit(world, mcp__bank__think="allow", mcp__bank__slow="allow", mcp__bank__secrets="allow")
    signs: list[str] = []
    begun = anyio.Event()

    async def sample(*_: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="a thought"), model="m")

    async def progress(done: float, total: float | None, message: str | None) -> None:
        signs.append(message or "")
        begun.set()

    async with proxied(world, "bank", EVERYTHING, mode="legacy", sampling_callback=sample) as client:
        assert [str(each.uri) for each in (await client.list_resources()).resources] == ["note://one"]
        assert (await client.read_resource("note://one")).contents[0].text == "the note"  # type: ignore[union-attr]
        [greeting] = (await client.get_prompt("greet", {"name": "Ann"})).messages
        assert greeting.content.text == "Greet Ann"  # type: ignore[union-attr]
        assert text(await client.call_tool("think", {})) == "a thought"
        assert text(await client.call_tool("secrets", {})) == ""
        with anyio.move_on_after(10) as scope:
            async with anyio.create_task_group() as tasks:

                async def give_up() -> None:
                    await begun.wait()
                    scope.cancel()

                tasks.start_soon(give_up)
                await client.call_tool("slow", {}, progress_callback=progress)
        assert signs == ["half"]
        assert (await client.list_tools()).tools


async def test_without_warden_no_tool_is_called(world: World) -> None:
    await permit(world, mcp__bank__pay="allow")
    async with proxied(world, "bank", EVERYTHING, "--agent", "support-bot", "--timeout", "1") as client:
        await in_database(lambda: world.bot.api_keys.update(revoked_at="2026-01-01T00:00:00Z"))
        refused = await client.call_tool("pay", {"amount": 1, "to": "ann"})
        odd = await client.call_tool("..", {})
    assert refused.is_error
    assert "Invalid API key" in text(refused)
    assert odd.is_error
    assert isinstance(odd, types.CallToolResult)
