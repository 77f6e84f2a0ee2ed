"""Who could decide under a rule at this moment, and whether anybody could satisfy it."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from accounts import stepup
from accounts.models import Membership, Organization, User
from accounts.services import delegations
from agents.assurance import STEPUP
from agents.models import Agent, ApprovalRule, Permission
from agents.who import Person, Who
from audit.clock import database_now


@dataclass(frozen=True, slots=True)
class Chance:
    """One way to satisfy a rule, and who could give its approvals now."""

    approvals: int
    people: tuple[User, ...]

    def is_open(self, but: Collection[uuid.UUID] = ()) -> bool:
        """Whether there are enough of them, not counting those of these ids."""
        return sum(user.id not in but for user in self.people) >= self.approvals


class Staff:
    """The people of an organization as they are when this is made: three queries, for however many rules."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        members = Membership.objects.filter(organization=organization, user__is_active=True)
        self._people = [
            (member.user, Person(member.user_id, member.role, frozenset(team.id for team in member.teams.all())))
            for member in members.select_related("user").prefetch_related("teams")
        ]

    def __bool__(self) -> bool:
        return bool(self._people)

    def chances(self, rule: ApprovalRule) -> list[Chance]:
        """Who could decide in each way of `rule`."""
        return [Chance(way["approvals"], self._named(way)) for way in rule.ways]

    def is_stuck(self, rule: ApprovalRule) -> bool:
        """Whether nobody could satisfy `rule`, whatever asks."""
        return not any(chance.is_open() for chance in self.chances(rule))

    def stuck_agents(self, rule: ApprovalRule) -> list[str]:
        """Agents with tiers under `rule` whose owners are needed to satisfy it: what they ask, nobody could approve."""
        asking = {**self._asking.get(rule.pk, {}), **(self._asking.get(None, {}) if rule.is_default else {})}
        return sorted(slug for slug, agent in asking.items() if self.is_stuck_for(rule, agent))

    def is_stuck_for(self, rule: ApprovalRule, agent: Agent) -> bool:
        """Whether nobody could approve what this agent asks under `rule`: its owners may not, unless one is enough."""
        owners = set() if self.organization.single_operator_since else _owners(agent)
        return not any(chance.is_open(owners) for chance in self.chances(rule))

    def trouble(self, rule: ApprovalRule) -> str:
        """Why nobody could satisfy `rule`, or not for some agents, in sentences; empty where somebody could."""
        if self.is_stuck(rule):
            return stuck_words(self.chances(rule))
        return " ".join(map(stuck_agent_words, self.stuck_agents(rule)))

    def note(self, user: User, rule: ApprovalRule) -> str:
        """What somebody lacks to decide under `rule` this minute, in a few words; empty where nothing."""
        if rule.assurance == STEPUP and user.id not in self._with_factor:
            return "no second factor yet"
        until = self._away.get(user.id)
        return f"away until {until:%-d %b}" if until else ""

    @cached_property
    def _asking(self) -> dict[uuid.UUID | None, dict[str, Agent]]:
        """The agents with tiers that ask, by the rule that they name, by slug; None: the default."""
        tiers = Permission.objects.filter(agent__organization=self.organization, agent__deleted_at=None, effect="ask")
        pairs = list(tiers.values_list("approval_rule_id", "agent_id").distinct())
        agents = Agent.objects.select_related("owner_team").prefetch_related("owner_team__members")
        known = agents.in_bulk({agent for _, agent in pairs})
        found: dict[uuid.UUID | None, dict[str, Agent]] = {}
        for rule, agent in pairs:
            found.setdefault(rule, {})[known[agent].slug] = known[agent]
        return found

    @cached_property
    def _with_factor(self) -> set[uuid.UUID]:
        return stepup.those_with([user.id for user, _ in self._people])

    @cached_property
    def _away(self) -> dict[uuid.UUID, datetime]:
        away = delegations.running(self.organization, database_now())
        return dict(away.values_list("delegator__user", "ends_at"))

    def _named(self, way: Mapping[str, Any]) -> tuple[User, ...]:
        who = Who.read(way)
        return tuple(user for user, person in self._people if who.lets(person))


def stuck_agent_words(slug: str) -> str:
    """Why nobody could approve what an agent asks under a rule that others could satisfy."""
    return f"What {slug} asks, nobody could approve: its owners are needed, and may not decide it."


def stuck_words(chances: Iterable[Chance]) -> str:
    """Why nobody could satisfy a rule: `It takes 2 approvals, and only ann@example.com could give one.`"""
    said = []
    for chance in chances:
        could = ", ".join(user.email for user in chance.people[:5])
        takes = f"{chance.approvals} approval{'' if chance.approvals == 1 else 's'}"
        said.append(f"It takes {takes}, and {f'only {could} could give one' if could else 'nobody could give one'}.")
    return " ".join(dict.fromkeys(said))


def _owners(agent: Agent) -> set[uuid.UUID]:
    if agent.owner_user_id:
        return {agent.owner_user_id}
    return {member.user_id for member in agent.owner_team.members.all()} if agent.owner_team else set()
