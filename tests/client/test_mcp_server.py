"""agentwarden mcp-server: an agent that asks by itself, by a real MCP client, and people who decide."""

import anyio
import pytest

from approvals.models import Approval
from tests.client.mcp_world import in_database, started, text
from tests.client.test_mcp_proxy import decide
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_agent_asks_and_learns_what_it_may_do(world: World) -> None:
    async with started(world, "mcp-server") as client:
        [tool] = (await client.list_tools()).tools
        assert tool.name == "request_approval"
        assert set(tool.input_schema["required"]) == {"action", "context", "reason"}

        small = {"action": "stripe.refund", "context": {"amount": 20}, "reason": "lost"}
        allowed = (await client.call_tool("request_approval", small)).structured_content
        assert allowed
        assert (allowed["approved"], allowed["status"], allowed["context"]) == (True, "allowed", {"amount": 20})

        refused = (await client.call_tool("request_approval", small | {"action": "database.drop"})).structured_content
        assert refused
        assert (refused["approved"], refused["status"], refused["context"]) == (False, "denied", None)

        async with anyio.create_task_group() as people:
            people.start_soon(decide, world, "approve")
            large = await client.call_tool("request_approval", small | {"context": {"amount": 500}})
        assert large.structured_content
        assert (large.structured_content["approved"], large.structured_content["status"]) == (True, "approved")
        approval = await in_database(Approval.objects.get)
        assert (approval.claimed_at is not None, approval.reasoning) == (True, "lost")

        await in_database(lambda: world.bot.api_keys.update(revoked_at="2026-01-01T00:00:00Z"))
        failed = await client.call_tool("request_approval", small)
        assert failed.is_error
        assert "Do not act" in text(failed)
