"""How many of an agent's requests wait for people, beside its budgets."""

from typing import Any

from django import template

from agents.models import Agent
from approvals import pending
from audit.clock import database_now

register = template.Library()


@register.inclusion_tag("agents/_waiting.html", takes_context=True)
def waiting_gauge(context: template.Context, agent: Agent) -> dict[str, Any]:
    """The gauge of what waits in the mode of this page, of as many as may (max_pending)."""
    number, most = pending.waiting(agent, context["mode"], database_now()), agent.max_pending
    return {
        "agent": agent,
        "words": f"{number:,} of {most:,}",
        "percent": min(100, number * 100 // most),
        "full": number >= most,
        "may_read": context["membership"].may("approvals:read"),
    }
