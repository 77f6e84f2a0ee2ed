"""How a program begins to ask, framework by framework: what is installed, set and run. A test runs the snippets."""

import json
from collections.abc import Callable
from typing import NamedTuple

from agents import frameworks, policy
from agents.models import Agent

NO_KEY = "ak_…"
EFFECTS = ["allow", "ask", "deny"]


class Asked(NamedTuple):
    """What the snippets ask: one check that means something to this agent."""

    base_url: str
    agent: str
    action: str
    key: str = NO_KEY

    @property
    def body(self) -> str:
        """The check as JSON."""
        return json.dumps({"agent_id": self.agent, "action": self.action, "context": {"amount": 20}})


class Step(NamedTuple):
    """One thing to do, and the text to do it with."""

    title: str
    text: str


class Trial(NamedTuple):
    """One request that tries a key: where it goes, the action it asks for, and what is sent, as JSON."""

    path: str
    action: str
    body: str


def _check(asked: Asked) -> Trial:
    return Trial("/sdk/check", asked.action, asked.body)


def _call(asked: Asked) -> Trial:
    """The same over AAP."""
    call = {"tool": asked.action, "arguments": {"amount": 20}, "timeout": "10m"}
    return Trial("/aap/v1/requests", asked.action, json.dumps(call))


def _call_of_the_tool(_: Asked) -> Trial:
    """What the model of an adapter's program would ask for."""
    call = {"tool": frameworks.TOOL, "arguments": {"order": "ord_1042", "amount": 20}, "timeout": "10m"}
    return Trial("/aap/v1/requests", frameworks.ACTION, json.dumps(call))


class Framework(NamedTuple):
    """One way to connect. `page`: the document that has the rest; `scopes`: of its key; `trial`: what tries it."""

    label: str
    lead: str
    page: str
    steps: Callable[[Asked], list[Step]]
    scopes: tuple[str, ...] = ("sdk",)
    trial: Callable[[Asked], Trial] = _check


def asked_of(agent: Agent, base_url: str, key: str = NO_KEY) -> Asked:
    """A check that passes where one can, else one that asks a person; of any action where the agent has no tier yet."""
    tiers = [tier for tier in agent.permissions.all() if policy.is_action(tier.action)]
    tiers.sort(key=lambda tier: (EFFECTS.index(tier.effect), bool(tier.condition)))
    return Asked(base_url, agent.slug, tiers[0].action if tiers else "email.send", key)


def _environment(asked: Asked) -> Step:
    text = f"export AGENTWARDEN_BASE_URL={asked.base_url}\nexport AGENTWARDEN_API_KEY={asked.key}"
    return Step("Tell it where Warden is, and its key", text)


def _python(asked: Asked) -> list[Step]:
    code = f"""from agentwarden import AgentWarden

with AgentWarden() as guard:
    result = guard.check("{asked.agent}", "{asked.action}", {{"amount": 20}})
    if result:
        print("allowed: act now")
    elif result.requires_approval:
        print("a person decides:", result.approval_url)
    else:
        print("denied:", result.reason)"""
    return [
        Step("Install the client, from a checkout of Warden", "pip install ./sdk"),
        _environment(asked),
        Step("Ask", code),
    ]


def _typescript(asked: Asked) -> list[Step]:
    code = f"""import {{ AgentWarden }} from "agentwarden-client";

const guard = new AgentWarden();
const result = await guard.check("{asked.agent}", "{asked.action}", {{ amount: 20 }});
if (result.allowed) {{
  console.log("allowed: act now");
}} else if (result.requiresApproval) {{
  console.log("a person decides:", result.approvalUrl);
}} else {{
  console.log("denied:", result.reason);
}}"""
    return [
        Step("Install the client, from a checkout of Warden", "npm install ./sdk/typescript"),
        _environment(asked),
        Step("Ask", code),
    ]


def _curl(asked: Asked) -> list[Step]:
    code = f"""curl "$AGENTWARDEN_BASE_URL/sdk/check" -H "X-API-Key: $AGENTWARDEN_API_KEY" \\
  -d '{asked.body}'"""
    return [_environment(asked), Step("Ask", code)]


def _aap(asked: Asked) -> list[Step]:
    code = f"""import os
from agentapprovalprotocol import Call, Client, Gate

gate = Gate(Client(os.environ["AAP_BASE_URL"], os.environ["AAP_TOKEN"]))
call = Call(key="run-1:call-1", tool="{asked.action}", arguments={{"amount": 20}})
with gate.guard(call) as verdict:
    print("allowed: run it now" if verdict else verdict.reason)"""
    return [
        Step("Install the protocol's client", "pip install agentapprovalprotocol"),
        Step(
            "Tell it where Warden is, and its credential",
            f"export AAP_BASE_URL={asked.base_url}/aap\nexport AAP_TOKEN={asked.key}",
        ),
        Step("Ask about one call of a tool; adapters for frameworks do it for every call", code),
    ]


def _claude_code(asked: Asked) -> list[Step]:
    hook = {"type": "command", "command": "agentwarden hook claude-code", "timeout": 600, "onFailure": "block"}
    settings = {"hooks": {"PreToolUse": [{"matcher": "*", "hooks": [hook]}]}}
    return [
        Step("Install the client, from a checkout of Warden", "pip install ./sdk"),
        Step("Keep the key: the command asks for it", f"agentwarden login --base-url {asked.base_url}"),
        Step("Add the hook to .claude/settings.json", json.dumps(settings, indent=2)),
    ]


def _mcp(asked: Asked) -> list[Step]:
    server = {
        "command": "agentwarden",
        "args": ["mcp-proxy", "--", "python", "-m", "mcp_server_time"],
        "env": {"AGENTWARDEN_BASE_URL": asked.base_url, "AGENTWARDEN_API_KEY": asked.key},
    }
    return [
        Step(
            "Install the client with its extra, from a checkout of Warden", "pip install './sdk[mcp]' mcp-server-time"
        ),
        Step(
            "Put the proxy before a server, where your client is configured",
            json.dumps({"mcpServers": {"time": server}}, indent=2),
        ),
    ]


def _adapter(program: frameworks.Program) -> Framework:
    """One that asks over AAP."""

    def steps(asked: Asked) -> list[Step]:
        return [
            Step("Install the adapter", program.install),
            Step(
                "Tell it where Warden is, and its key",
                f"export AAP_BASE_URL={asked.base_url}/aap\nexport AAP_TOKEN={asked.key}",
            ),
            Step("Save as refund.py", program.code),
            Step("Run it, with your model's key in the environment", frameworks.RUN),
        ]

    lead = f"An adapter: each call of a tool is an action. The tool below is {frameworks.ACTION}: give it a tier."
    return Framework(program.label, lead, program.page, steps, ("aap",), _call_of_the_tool)


FRAMEWORKS = {
    "python": Framework("Python", "A client that checks, waits, claims and logs.", "client.md", _python),
    "typescript": Framework("TypeScript", "The same for Node 20 and newer.", "typescript.md", _typescript),
    "curl": Framework("HTTP", "One request, from any language.", "agent-api.md", _curl),
    "claude-code": Framework(
        "Claude Code", "A hook: each tool call is an action, claude.bash and so on.", "claude-code.md", _claude_code
    ),
    "aap": Framework(
        "AAP",
        "The Agent Approval Protocol, for any language; the frameworks beside it have adapters.",
        "aap.md",
        _aap,
        ("aap",),
        _call,
    ),
    "mcp": Framework("MCP", "A proxy: each tool call of a server is an action, mcp.time.….", "mcp.md", _mcp),
    **{name: _adapter(program) for name, program in frameworks.PROGRAMS.items()},
}
