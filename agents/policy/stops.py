"""Stops: what the kill switch holds. Pure: which of them speaks of a request is a matter of names."""

from collections.abc import Iterable
from dataclasses import dataclass

from .names import covers

STOPPED = frozenset({"organization_paused", "agent_paused", "action_paused"})  # codes of decisions


@dataclass(frozen=True, slots=True, order=True)
class Stop:
    """What stands still: of one agent (its id) or, empty, of all; the actions of one name or pattern or, empty, all."""

    agent: str = ""
    pattern: str = ""

    def holds(self, agent: str, *names: str) -> bool:
        """Whether this agent's request stands still. `names`: the action, and the tier that it comes to."""
        if self.agent not in ("", agent):
            return False
        return not self.pattern or any(covers(self.pattern, name) for name in names)

    @property
    def words(self) -> str:
        """For the agent and its developer, and for people who would decide."""
        if self.pattern:
            many = self.pattern.endswith(".*")
            return f"{'Actions' if many else 'Action'} '{self.pattern}' {'are' if many else 'is'} paused"
        return "Agent is paused" if self.agent else "Organization is paused"


def stopped_by(stops: Iterable[Stop], agent: str, *names: str) -> Stop | None:
    """The widest stop that holds this agent's request; None where none does."""
    return min((stop for stop in stops if stop.holds(agent, *names)), key=_width, default=None)


def _width(stop: Stop) -> tuple[bool, bool, str]:
    return bool(stop.pattern), bool(stop.agent), stop.pattern
