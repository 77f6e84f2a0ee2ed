"""Who could decide under a rule at this moment, and whether anybody could satisfy it."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from accounts.models import Membership, Organization, User
from agents.models import Agent, ApprovalRule
from agents.who import Person, Who


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
        if self.organization.single_operator_since:
            return []
        named = Q(permissions__approval_rule=rule)
        if rule.is_default:
            named |= Q(permissions__approval_rule=None)
        asking = Agent.objects.filter(named, organization=self.organization, permissions__effect="ask", deleted_at=None)
        chances = self.chances(rule)
        found = asking.distinct().prefetch_related("owner_team__members").order_by("slug")
        return [agent.slug for agent in found if not any(chance.is_open(_owners(agent)) for chance in chances)]

    def _named(self, way: Mapping[str, Any]) -> tuple[User, ...]:
        who = Who.read(way)
        return tuple(user for user, person in self._people if who.lets(person))


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
