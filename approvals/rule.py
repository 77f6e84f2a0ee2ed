"""An approval rule as a request keeps it, and the people it speaks of: plain data."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from accounts import roles
from agents import assurance


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the desk. `role` is theirs in the organization now; None for a stranger. So are the teams."""

    id: uuid.UUID
    role: str | None
    teams: frozenset[uuid.UUID] = frozenset()
    lenders: "tuple[Person, ...]" = ()  # who are away and let this person decide in their name at this moment

    @property
    def able(self) -> bool:
        """Whether people of that role decide at all. A rule that names somebody does not make them able."""
        return self.role is not None and roles.may(self.role, "approvals:decide")


@dataclass(frozen=True, slots=True)
class Who:
    """Some people: by role, by team, by themselves. `named` are the teams and people in words."""

    roles: frozenset[str] = frozenset()
    teams: frozenset[uuid.UUID] = frozenset()
    people: frozenset[uuid.UUID] = frozenset()
    named: tuple[str, ...] = ()

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Who":
        teams, people = snapshot.get("teams", ()), snapshot.get("people", ())
        return cls(
            roles=frozenset(snapshot.get("roles", ())),
            teams=frozenset(uuid.UUID(team["id"]) for team in teams),
            people=frozenset(uuid.UUID(person["id"]) for person in people),
            named=(*(f"member of {team['slug']}" for team in teams), *(str(person["email"]) for person in people)),
        )

    def lets(self, person: Person) -> bool:
        """Whether they are among them, and able to decide."""
        named = person.role in self.roles or person.id in self.people or bool(person.teams & self.teams)
        return person.able and named

    def words(self) -> list[str]:
        """`owner`, `member of finance`, `ann@example.com`: roles that may decide, the greatest first, then others."""
        able = [name.lower() for role, name in roles.ROLES.items() if role in self.roles and Person(NOBODY, role).able]
        return [*able, *self.named]

    def __or__(self, other: "Who") -> "Who":
        return Who(
            self.roles | other.roles,
            self.teams | other.teams,
            self.people | other.people,
            tuple(dict.fromkeys(self.named + other.named)),
        )


NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Step:
    """Who else may decide, once nobody did for so long."""

    after: timedelta
    who: Who = Who()

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
    who: Who = Who()
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

    def lets(self, person: Person) -> bool:
        """Whether they may decide, in whatever way."""
        return self.everybody.lets(person)

    def reached(self, waited: timedelta) -> int:
        """How many steps are due once a request has waited so long."""
        return sum(step.after <= waited for step in self.steps)

    def added(self, escalated: int) -> Who:
        """All whom the first `escalated` steps add."""
        found = Who()
        for step in self.steps[:escalated]:
            found |= step.who
        return found

    def widened(self, escalated: int) -> "Rule":
        """The rule once so many steps were reached. Whom they add counts in the first way, not in an easier one."""
        return replace(self, who=self.who | self.added(escalated)) if escalated else self


def _level(given: object) -> str:
    return given if isinstance(given, str) and given in assurance.LEVELS else assurance.STEPUP
