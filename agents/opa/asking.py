"""What an external OPA is asked about a decision: the same at the agents' door and in a simulation."""

from agents.load import AgentFacts, Loaded
from agents.opa.gate import question
from agents.policy import Decision, Request


def asks(
    mode: str, loaded: Loaded, agent: AgentFacts, request: Request, decision: Decision, *, claiming: bool = False
) -> str | None:
    """The question that has to be asked before this decision is one; None where there is none to ask."""
    if loaded.gate is None or decision.outcome == "deny":
        return None
    permission = decision.permission
    return question(
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
        claiming=claiming,
    )
