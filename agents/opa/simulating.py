"""The external OPA in simulations: really asked, by a connection of its own, and nothing is recorded here."""

from asgiref.sync import async_to_sync

from agents.load import Loaded
from agents.opa.client import ask_once
from agents.opa.gate import question, tighten
from agents.policy import Decision, Request


def tightened(loaded: Loaded, request: Request, decision: Decision, mode: str) -> Decision:
    """The decision after the organization's external OPA, where one is asked."""
    if loaded.gate is None or decision.outcome == "deny":
        return decision
    agent = loaded.agents[request.agent]
    permission = decision.permission
    text = question(
        organization=loaded.slug,
        mode=mode,
        spiffe_id=agent.spiffe_id or None,
        slug=agent.slug,
        action=request.action,
        context=request.context,
        environment=request.environment,
        callee=request.callee,
        amount=decision.amount,
        currency=decision.currency,
        permission=permission.action if permission else None,
        risk=permission.risk if permission else None,
        decision=decision.outcome,
    )
    return tighten(decision, async_to_sync(ask_once)(loaded.gate, text))
