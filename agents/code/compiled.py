"""A state as the policy that decides: what would be answered if it were applied, without applying it."""

from collections.abc import Mapping

from accounts.models import Organization
from agents import policy
from agents.code.diff import permission
from agents.code.state import Fields, State
from agents.policy import budgets


def compile_state(organization: Organization, state: State) -> policy.Policy:
    """The policy of a state. Agents are named by slug, tiers by agent and place; nothing counts as stopped.

    Raises ValueError for what cannot be a policy, such as a name that is none: plan it, and it is said where.
    """
    return policy.compile_policy(
        organization_id=str(organization.pk),
        environments=frozenset(organization.environments),
        agents=[_agent(slug, fields, state.tiers) for slug, fields in state.agents.items()],
    )


def _agent(slug: str, fields: Fields, tiers: Mapping[str, list[Fields]]) -> policy.Agent:
    return policy.Agent(
        id=slug,
        slug=slug,
        status=fields["status"],
        permissions=tuple(permission(tier, f"{slug} {number:06}") for number, tier in enumerate(tiers[slug])),
        spiffe_id=fields["spiffe_id"] or None,
        limits=budgets.limits_of(fields["limits"], fields["limit_currency"] or None),
    )
