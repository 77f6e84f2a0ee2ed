"""The external OPA in simulations: really asked, by a connection of its own, and nothing is recorded here."""

from asgiref.sync import async_to_sync

from agents.load import Loaded
from agents.opa.asking import asks
from agents.opa.client import ask_once
from agents.opa.gate import tighten
from agents.policy import Decision, Request


def tightened(loaded: Loaded, request: Request, decision: Decision, mode: str) -> Decision:
    """The decision after the organization's external OPA, where one is asked."""
    text = asks(mode, loaded, loaded.agents[request.agent], request, decision)
    if loaded.gate is None or text is None:
        return decision
    return tighten(decision, async_to_sync(ask_once)(loaded.gate, text))
