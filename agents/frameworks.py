"""Programs of agent frameworks that ask over AAP: what is installed, and what is run. Pages of docs/ show the same."""

from typing import NamedTuple

TOOL = "issue_refund"
ACTION = f"tool.{TOOL}"  # what the tool is called here


class Program(NamedTuple):
    """A program for one framework. `page`: the document that has the rest."""

    label: str
    page: str
    install: str
    code: str


_DEF = '''def issue_refund(order: str, amount: float) -> str:
    """Pay an amount of USD back for an order."""
    print(f"paid {amount} for {order}")  # here: your payment provider
    return "Paid."
'''

_LANGGRAPH = f"""import os
import sys

from agentapprovalprotocol.langgraph import ApprovalMiddleware
from langchain.agents import create_agent


{_DEF}

agent = create_agent(
    "openai:gpt-5.2",
    tools=[issue_refund],
    middleware=[ApprovalMiddleware(os.environ["AAP_BASE_URL"], os.environ["AAP_TOKEN"])],
)
answer = agent.invoke({{"messages": [{{"role": "user", "content": sys.argv[1]}}]}})
print(answer["messages"][-1].text)
"""

_PYDANTIC_AI = f"""import os
import sys

from agentapprovalprotocol.pydantic_ai import ApprovalCapability
from pydantic_ai import Agent


{_DEF}

agent = Agent(
    "openai:gpt-5.2",
    tools=[issue_refund],
    capabilities=[ApprovalCapability(os.environ["AAP_BASE_URL"], os.environ["AAP_TOKEN"])],
)
print(agent.run_sync(sys.argv[1]).output)
"""

_OPENAI_AGENTS = f"""import os
import sys

from agentapprovalprotocol.openai_agents import Approvals
from agents import Agent, Runner, function_tool


@function_tool
{_DEF}

approvals = Approvals(os.environ["AAP_BASE_URL"], os.environ["AAP_TOKEN"])
agent = approvals.protect(Agent(name="Support", model="gpt-5.2", tools=[issue_refund]))
print(Runner.run_sync(agent, sys.argv[1]).final_output)
"""

_GOOGLE_ADK = f"""import asyncio
import os
import sys

from agentapprovalprotocol.adk import ApprovalPlugin, check_coverage
from google.adk.agents import Agent
from google.adk.apps import App
from google.adk.runners import InMemoryRunner


{_DEF}

approvals = ApprovalPlugin(os.environ["AAP_BASE_URL"], os.environ["AAP_TOKEN"])
agent = Agent(name="support", model="gemini-3.5-flash", tools=[issue_refund])
app = App(name="support", root_agent=agent, plugins=[approvals])
check_coverage(app, approvals)
events = asyncio.run(InMemoryRunner(app=app).run_debug(sys.argv[1], quiet=True))
print(events[-1].content.parts[0].text)
"""

PROGRAMS = {
    "langgraph": Program(
        "LangGraph", "langgraph.md", "pip install 'agentapprovalprotocol[langgraph]' langchain-openai", _LANGGRAPH
    ),
    "pydantic-ai": Program(
        "Pydantic AI",
        "pydantic-ai.md",
        "pip install 'agentapprovalprotocol[pydantic-ai]' 'pydantic-ai-slim[openai]'",
        _PYDANTIC_AI,
    ),
    "openai-agents": Program(
        "OpenAI Agents", "openai-agents.md", "pip install 'agentapprovalprotocol[openai-agents]'", _OPENAI_AGENTS
    ),
    "google-adk": Program(
        "Google ADK", "google-adk.md", "pip install 'agentapprovalprotocol[adk]' 'google-adk<2.12'", _GOOGLE_ADK
    ),
}
RUN = "python refund.py 'Please refund order ord_1042, 312.50 USD'"
