"""Reads what the rules need to know of a request, in one place for pages and services."""

import uuid
from collections.abc import Iterable

from accounts.models import Membership, Organization
from agents.models import Agent
from approvals import rules
from approvals.models import Approval, Review


def owners_of(agents: Iterable[Agent]) -> dict[uuid.UUID, frozenset[uuid.UUID]]:
    """Who owns each agent now: a person, or everybody in a team."""
    agents = list(agents)
    teams = {agent.owner_team_id for agent in agents if agent.owner_team_id}
    people: dict[uuid.UUID, set[uuid.UUID]] = {}
    if teams:
        members = Membership.objects.filter(teams__in=teams).values_list("teams__id", "user_id")
        for team, person in members:
            people.setdefault(team, set()).add(person)
    owners: dict[uuid.UUID, frozenset[uuid.UUID]] = {}
    for agent in agents:
        if agent.owner_user_id:
            owners[agent.id] = frozenset({agent.owner_user_id})
        else:
            owners[agent.id] = frozenset(people.get(agent.owner_team_id, ())) if agent.owner_team_id else frozenset()
    return owners


def roles_of(organization_id: uuid.UUID, people: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The roles these people have now; who left, or was deactivated, is not among them."""
    members = Membership.objects.filter(
        organization_id=organization_id, user_id__in=set(people), user__is_active=True
    ).values_list("user_id", "role")
    return dict(members)


def cases(approvals: Iterable[Approval], organization: Organization) -> dict[uuid.UUID, rules.Case]:
    """Approvals of one organization as the rules see them, in three queries whatever their number."""
    approvals = list(approvals)
    reviews: dict[uuid.UUID, list[Review]] = {}
    for review in Review.objects.filter(approval__in=[approval.id for approval in approvals]).order_by("id"):
        reviews.setdefault(review.approval_id, []).append(review)
    voters = {review.user_id for each in reviews.values() for review in each}
    roles = roles_of(organization.id, voters) if voters else {}
    owners = owners_of(Agent.objects.filter(id__in={approval.agent_id for approval in approvals}))
    return {
        approval.id: rules.Case(
            state=approval.state,
            expires_at=approval.expires_at,
            digest=approval.digest,
            rule=rules.Rule.read(approval.rule),
            requesters=frozenset(approval.requesters),
            owners=owners[approval.agent_id],
            votes=tuple(
                rules.Vote(
                    rules.Person(review.user_id, roles.get(review.user_id)),
                    "approve" if review.verdict == "approve" else "deny",
                    review.digest,
                )
                for review in reviews.get(approval.id, ())
            ),
            paused=organization.paused_at is not None,
            decided_at=approval.decided_at,
            decided_by=approval.decided_by_label,
        )
        for approval in approvals
    }


def case_of(approval: Approval, organization: Organization) -> rules.Case:
    """One approval as the rules see it."""
    return cases([approval], organization)[approval.id]
