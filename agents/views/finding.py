"""What the views of this room look up: of the request's organization, or 404."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404

from accounts.requests import MemberRequest
from agents.models import Agent, ApiKey, ApprovalRule, Instance, Permission, Provisioner


def agents_of(request: MemberRequest) -> QuerySet[Agent]:
    """The organization's agents, without deleted ones."""
    return request.organization.agents.filter(deleted_at=None).select_related(
        "organization", "owner_user", "owner_team", "last_audited_by", "created_by"
    )


def find_agent(request: MemberRequest, slug: str) -> Agent:
    """The agent with its tiers."""
    tiers = Permission.objects.select_related("approval_rule", "changed_by")
    return get_object_or_404(agents_of(request).prefetch_related(Prefetch("permissions", tiers)), slug=slug)


def find_tier(request: MemberRequest, slug: str, pk: UUID) -> Permission:
    """A tier of the agent with that slug."""
    tiers = Permission.objects.select_related("agent__organization", "approval_rule", "changed_by")
    return get_object_or_404(
        tiers, pk=pk, agent__slug=slug, agent__organization=request.organization, agent__deleted_at=None
    )


def find_key(request: MemberRequest, pk: UUID) -> ApiKey:
    """A key of the organization that is no AAP instance's: those are retired, with what they wait for."""
    keys = request.organization.api_keys.select_related("agent", "organization")
    return get_object_or_404(keys, pk=pk, instance=None)


def find_provisioner(request: MemberRequest, pk: UUID) -> Provisioner:
    """A provisioner token of the organization."""
    found = request.organization.provisioners.select_related("agent", "organization")
    return get_object_or_404(found, pk=pk, agent__deleted_at=None)


def find_instance(request: MemberRequest, pk: UUID) -> Instance:
    """An AAP instance of the organization."""
    found = Instance.objects.select_related("key__agent", "key__organization")
    return get_object_or_404(found, pk=pk, key__organization=request.organization)


def find_rule(request: MemberRequest, pk: UUID) -> ApprovalRule:
    """An approval rule of the organization."""
    return get_object_or_404(request.organization.approval_rules.select_related("organization"), pk=pk)
