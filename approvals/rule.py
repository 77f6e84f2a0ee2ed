"""An approval rule as a request keeps it, and the people it speaks of: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from agents import assurance
from agents.who import NO_ONE
from agents.who import Person as Person
from agents.who import Who as Who


@dataclass(frozen=True, slots=True)
class Step:
    """Who else may decide, once nobody did for so long."""

    after: timedelta
    who: Who = NO_ONE

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Step":
        return cls(after=timedelta(minutes=int(snapshot["after_minutes"])), who=Who.read(snapshot))


@dataclass(frozen=True, slots=True)
class Way:
    """One way to satisfy a rule: so many approvals, by these people."""

    approvals: int
    who: Who

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Way":
        return cls(max(1, int(snapshot["approvals"])), Who.read(snapshot))


@dataclass(frozen=True, slots=True)
class Rule:
    """What is missing or odd in a snapshot reads as the stricter; what rules had no word for when it was taken, as
    it was then.
    """

    name: str = "Default"
    version: int = 1
    who: Who = NO_ONE
    approvals: int = 1
    alternatives: tuple[Way, ...] = ()
    denials: int = 1
    reason_to_approve: bool = False
    reason_to_deny: bool = True
    minutes: int = 60
    steps: tuple[Step, ...] = ()
    assurance: str = assurance.SLACK
    confirm_critical: bool = False
    editable: frozenset[str] = frozenset()  # fields of the context that may be changed before approving
    grants_allowed: bool = False
    critical_seconds: int = 0

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Rule":
        edits = snapshot.get("edit_fields", ()) if snapshot.get("edits_allowed") is True else ()
        return cls(
            name=str(snapshot.get("name", "Default")),
            version=int(snapshot.get("version", 1)),
            who=Who.read(snapshot),
            approvals=max(1, int(snapshot["approvals"])),
            alternatives=tuple(Way.read(way) for way in snapshot.get("alternatives", ())),
            denials=max(1, int(snapshot["denials"])),
            reason_to_approve=bool(snapshot.get("reason_to_approve", True)),
            reason_to_deny=bool(snapshot.get("reason_to_deny", True)),
            minutes=int(snapshot.get("minutes", 60)),
            steps=tuple(Step.read(step) for step in snapshot.get("escalation", ())),
            assurance=_level(snapshot.get("assurance", assurance.SLACK)),
            confirm_critical=bool(snapshot.get("confirm_critical", False)),
            editable=frozenset(map(str, edits)),
            grants_allowed=snapshot.get("grants_allowed") is True,
            critical_seconds=int(snapshot.get("critical_seconds", 0)),
        )

    @property
    def ways(self) -> tuple[Way, ...]:
        """Every way to satisfy it, the first one first."""
        return (Way(self.approvals, self.who), *self.alternatives)

    @property
    def everybody(self) -> Who:
        """All whom it names, in whatever way."""
        found = self.who
        for way in self.alternatives:
            found |= way.who
        return found

    def needs_reason(self, verdict: str) -> bool:
        return self.reason_to_approve if verdict == "approve" else self.reason_to_deny

    def needs_typing(self, risk: str) -> bool:
        """Whether who approves a request of that risk types the action's name."""
        return self.confirm_critical and risk == "critical"

    def reading_seconds(self, risk: str) -> int:
        """How long who approves a request of that risk has it before them first."""
        return self.critical_seconds if risk == "critical" else 0

    def lets(self, person: Person) -> bool:
        """Whether they may decide, in whatever way."""
        return self.everybody.lets(person)

    def reached(self, waited: timedelta) -> int:
        """How many steps are due once a request has waited so long."""
        return sum(step.after <= waited for step in self.steps)

    def added(self, escalated: int) -> Who:
        """All whom the first `escalated` steps add."""
        found = NO_ONE
        for step in self.steps[:escalated]:
            found |= step.who
        return found

    def widened(self, escalated: int) -> "Rule":
        """The rule once so many steps were reached. Whom they add counts in the first way, not in an easier one."""
        return replace(self, who=self.who | self.added(escalated)) if escalated else self


def _level(given: object) -> str:
    return given if isinstance(given, str) and given in assurance.LEVELS else assurance.STEPUP
