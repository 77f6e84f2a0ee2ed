"""Reads what the rules need to know of a request, in one place for pages and services."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import replace

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q, Value

from accounts.models import Delegation, Membership, Organization
from agents import policy
from agents.models import Agent, Stop
from approvals import rules
from approvals.models import Approval, Review
from audit.clock import ClockTimestamp


def members_of(teams: Collection[uuid.UUID]) -> dict[uuid.UUID, set[uuid.UUID]]:
    """Who is in each of these teams now."""
    people: dict[uuid.UUID, set[uuid.UUID]] = {}
    if teams:
        for team, person in Membership.objects.filter(teams__in=teams).values_list("teams__id", "user_id"):
            people.setdefault(team, set()).add(person)
    return people


def owners_of(agents: Iterable[Agent]) -> dict[uuid.UUID, frozenset[uuid.UUID]]:
    """Who owns each agent now: a person, or everybody in a team."""
    agents = list(agents)
    people = members_of({agent.owner_team_id for agent in agents if agent.owner_team_id})
    owners: dict[uuid.UUID, frozenset[uuid.UUID]] = {}
    for agent in agents:
        if agent.owner_user_id:
            owners[agent.id] = frozenset({agent.owner_user_id})
        else:
            owners[agent.id] = frozenset(people.get(agent.owner_team_id, ())) if agent.owner_team_id else frozenset()
    return owners


def people_of(organization_id: uuid.UUID, people: Iterable[uuid.UUID]) -> dict[uuid.UUID, rules.Person]:
    """These people with the roles and teams they have now, and who lends them a vote; who left, or was deactivated, is
    a stranger.
    """
    wanted = set(people)
    lenders: dict[uuid.UUID, list[uuid.UUID]] = {}
    for delegate, lender in (
        Delegation.objects.filter(organization_id=organization_id, delegates__user__in=wanted)
        .filter(starts_at__lte=ClockTimestamp(), ends_at__gt=ClockTimestamp(), ended_at=None)
        .order_by("delegator__user__email", "id")
        .values_list("delegates__user", "delegator__user")
    ):
        lenders.setdefault(delegate, []).append(lender)
    known = _as_they_are(organization_id, wanted.union(*lenders.values()))
    return {
        person: replace(known[person], lenders=tuple(known[each] for each in lenders.get(person, ())))
        for person in wanted
    }


def _as_they_are(organization_id: uuid.UUID, people: Iterable[uuid.UUID]) -> dict[uuid.UUID, rules.Person]:
    wanted = set(people)
    members = Membership.objects.filter(organization_id=organization_id, user_id__in=wanted, user__is_active=True)
    teams = ArrayAgg("teams", filter=Q(teams__isnull=False), default=Value([]))
    found = {
        user_id: rules.Person(user_id, role, frozenset(team_ids), glass)
        for user_id, role, team_ids, glass in members.annotate(team_ids=teams).values_list(
            "user_id", "role", "team_ids", "breaks_glass"
        )
    }
    return {person: found.get(person) or rules.Person(person, None) for person in wanted}


def person_of(organization_id: uuid.UUID, user_id: uuid.UUID) -> rules.Person:
    """One of them."""
    return people_of(organization_id, [user_id])[user_id]


def cases(approvals: Iterable[Approval], organization: Organization) -> dict[uuid.UUID, rules.Case]:
    """Approvals of one organization as the rules see them, in five queries at most whatever their number."""
    approvals = list(approvals)
    reviews: dict[uuid.UUID, list[Review]] = {}
    for review in Review.objects.filter(approval__in=[approval.id for approval in approvals], voided_at=None).order_by(
        "id"
    ):
        reviews.setdefault(review.approval_id, []).append(review)
    votes = [review for each in reviews.values() for review in each]
    voters = {person for each in votes for person in (each.user_id, each.on_behalf_of_id) if person}
    people = _as_they_are(organization.id, voters) if voters else {}
    owners = owners_of(Agent.objects.filter(id__in={approval.agent_id for approval in approvals}))
    stops = [stop.facts for stop in Stop.objects.filter(organization=organization, released_at=None)]
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
                    people[review.user_id],
                    "approve" if review.verdict == "approve" else "deny",
                    review.digest,
                    people[review.on_behalf_of_id] if review.on_behalf_of_id else None,
                )
                for review in reviews.get(approval.id, ())
            ),
            escalated=approval.escalated,
            editors=frozenset(approval.editors),
            risk=approval.risk,
            action=approval.action,
            paused=stop.words if (stop := held_by(stops, approval)) else "",
            frozen=approval.frozen_at is not None or (stop is not None and not approval.by_aap),
            single_operator=organization.single_operator_since is not None,
            decided_at=approval.decided_at,
            decided_by=approval.decided_by_label,
        )
        for approval in approvals
    }


def held_by(stops: Collection[policy.Stop], approval: Approval) -> policy.Stop | None:
    """The widest of these stops of its organization that holds a request."""
    if not stops:  # as nearly always: then the tier, which lists do not read, is not asked for
        return None
    return policy.stopped_by(stops, str(approval.agent_id), approval.action, approval.permission_data["action"])


def case_of(approval: Approval, organization: Organization) -> rules.Case:
    """One approval as the rules see it."""
    return cases([approval], organization)[approval.id]
