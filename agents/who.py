"""People as rules see them, and some of them by role, team or name: plain data."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts import roles


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the desk. `role` is theirs in the organization now; None for a stranger. So are the teams."""

    id: uuid.UUID
    role: str | None
    teams: frozenset[uuid.UUID] = frozenset()
    breaks_glass: bool = False  # an owner gave them the capability
    lenders: "tuple[Person, ...]" = ()  # who are away and let this person decide in their name at this moment

    @property
    def able(self) -> bool:
        """Whether people of that role decide at all. A rule that names somebody does not make them able."""
        return self.role is not None and roles.may(self.role, "approvals:decide")

    @property
    def may_break_glass(self) -> bool:
        """Whether they may allow a request outside its rule. The capability does not make a role able to decide."""
        return self.able and self.breaks_glass


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
NO_ONE = Who()
