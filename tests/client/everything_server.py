"""An MCP server that uses all of the protocol, and writes down what it was asked to do."""

import os
import sys
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import SamplingMessage, TextContent

server = MCPServer("everything")


@server.tool()
async def pay(amount: float, to: str) -> str:
    """Pay somebody."""
    return f"paid {amount:g} to {to}"


@server.tool()
async def fail() -> str:
    """Fail."""
    raise ValueError("broken on purpose")


@server.tool()
async def slow(ctx: Context[Any, Any]) -> str:
    """Report progress, then take a minute."""
    await ctx.report_progress(1, 2, "half")
    print("slow has begun", file=sys.stderr, flush=True)
    await anyio.sleep(60)
    return "done"


@server.tool()
async def secrets() -> str:
    """What this process knows of Warden."""
    return " ".join(name for name in os.environ if name.startswith("AGENTWARDEN"))


@server.tool()
async def think(ctx: Context[Any, Any]) -> str:
    """Ask the client's model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text="think"))
    answer = await ctx.session.create_message([message], max_tokens=10)
    return str(answer.content.text)  # type: ignore[union-attr]


@server.resource("note://one")
def note() -> str:
    """A note."""
    return "the note"


@server.prompt()
def greet(name: str) -> str:
    """A greeting."""
    return f"Greet {name}"


if __name__ == "__main__":
    server.run()
