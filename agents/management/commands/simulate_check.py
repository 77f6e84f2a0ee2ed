from argparse import ArgumentParser
from typing import Any

from agents import policy
from agents.forms.tier import SimulateForm
from agents.gauges import looked
from agents.load import load
from agents.management.commands._base import AgentsCommand
from agents.opa.simulating import tightened
from audit.clock import database_now


class Command(AgentsCommand):
    help = "Say what would come of a check, and why. Nothing is recorded."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")
        parser.add_argument("action")
        parser.add_argument("--context", default="{}", help="JSON")
        parser.add_argument("--environment", default="")
        parser.add_argument("--mode", choices=["live", "test"], default="live", help="whose budgets")
        parser.add_argument("--callee", default="", help="SPIFFE ID")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        form = SimulateForm(options, organization=agent.organization)
        if not form.is_valid():
            raise form.errors.as_data()[next(iter(form.errors))][0]
        asked = form.cleaned_data
        loaded, now = load(agent.organization_id), database_now()
        compiled = loaded.policy
        request = policy.Request(
            agent.slug, asked["action"], asked["context"], asked["environment"] or None, asked["callee"] or None
        )
        decision = tightened(loaded, request, policy.decide(compiled, request, now), options["mode"])
        found = looked(compiled.agents[agent.slug], decision, options["mode"], now)
        trace = [
            {"action": each.action, "applied": each.applied, "verdict": each.verdict, "because": each.because}
            for each in decision.trace
        ]
        lines = [
            f"{decision.outcome}: {decision.reason}",
            *(f"  {each.action}: {each.because}" for each in decision.trace),
            *(f"  {words}" for _, words in found),
        ]
        return {
            "outcome": decision.outcome,
            "reason": decision.reason,
            "code": decision.code,
            "permission": decision.permission.action if decision.permission else None,
            "trace": trace,
            "budgets": [{"fits": fits, "because": words} for fits, words in found],
        }, "\n".join(lines)
