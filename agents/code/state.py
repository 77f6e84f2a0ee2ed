"""What an organization has, or is to have, as plain data in the words of `warden.yaml`: it can be compared."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from django.core.exceptions import ValidationError

from accounts import roles
from accounts.models import Organization
from accounts.rules import Refused
from agents import models, policy
from agents.code.document import Agent, Channel, Limits, Permission, Read, Rule
from agents.code.reading import Broken, Path, Problem
from agents.models.agent import MAX_PENDING
from agents.models.rule import default_roles
from agents.models.spending import clean_limits
from agents.policy import budgets
from agents.services import deciders, escalation
from audit.canonical import canonical

Fields = dict[str, Any]
TIER = (
    "effect",
    "max_amount",
    "currency",
    "environment",
    "condition",
    "callee",
    "risk",
    "rule",
    "limits",
    "expires_at",
    "notes",
)


@dataclass(slots=True)
class State:
    """Agents by slug, their tiers, rules by name, channels by key, the external OPA; each thing as its fields."""

    agents: dict[str, Fields] = field(default_factory=dict)
    tiers: dict[str, list[Fields]] = field(default_factory=dict)
    rules: dict[str, Fields] = field(default_factory=dict)
    channels: dict[str, Fields] = field(default_factory=dict)
    external_opa: Fields | None = None

    @property
    def digest(self) -> str:
        """Of everything that is here: what a plan was made on."""
        everything = {"agents": self.agents, "tiers": self.tiers, "rules": self.rules, "channels": self.channels}
        if self.external_opa:
            everything["external_opa"] = self.external_opa
        return hashlib.sha256(canonical(everything).encode()).hexdigest()


class Channels(Protocol):
    """Channels are another room's: it hands this in at start."""

    def rows(self, organization: Organization) -> dict[str, Fields]: ...
    def create(self, organization: Organization, by: Any, key: str, fields: Fields) -> str: ...
    def change(self, organization: Organization, by: Any, key: str, fields: Fields) -> None: ...
    def delete(self, organization: Organization, by: Any, key: str) -> None: ...


class _NoChannels:
    def rows(self, organization: Organization) -> dict[str, Fields]:
        return {}

    def create(self, organization: Organization, by: Any, key: str, fields: Fields) -> str:
        raise Refused("This installation has no channels.")

    def change(self, organization: Organization, by: Any, key: str, fields: Fields) -> None:
        raise Refused("This installation has no channels.")

    def delete(self, organization: Organization, by: Any, key: str) -> None:
        raise Refused("This installation has no channels.")


_channels: list[Channels] = [_NoChannels()]


def register_channels(channels: Channels) -> None:
    """Has `channels` keep the section of that name."""
    _channels[0] = channels


def channels() -> Channels:
    return _channels[0]


# What there is


def current(organization: Organization) -> State:
    """As it is now. Deleted agents are left out."""
    state = State()
    rows = models.Agent.objects.filter(organization=organization, deleted_at=None).order_by("slug")
    for row in rows.select_related("owner_user", "owner_team").prefetch_related("permissions__approval_rule"):
        state.agents[row.slug] = {
            "name": row.name,
            "purpose": row.purpose,
            "owner": row.owner_user.email if row.owner_user else "",
            "owner_team": row.owner_team.slug if row.owner_team else "",
            "notes": row.notes,
            "documentation": row.documentation,
            "spiffe_id": row.spiffe_id or "",
            "limits": _limits_of(row.limits),
            "limit_currency": row.limit_currency,
            "max_pending": row.max_pending,
            "status": row.status,
        }
        state.tiers[row.slug] = [tier_of(each) for each in in_order(row.permissions.all())]
    for rule in organization.approval_rules.order_by("name"):
        state.rules[rule.name] = _rule_of(rule)
    state.channels = channels().rows(organization)
    opa = models.ExternalOpa.objects.filter(organization=organization).select_related("organization").first()
    state.external_opa = opa.facts.content if opa else None
    return state


def in_order(rows: Iterable[models.Permission]) -> list[models.Permission]:
    """Tiers in the order of a file: by action, then as they were made."""
    return sorted(rows, key=lambda row: (row.action, row.id))


def tier_of(row: models.Permission) -> Fields:
    return {
        "action": row.action,
        "effect": row.effect,
        "max_amount": None if row.max_amount is None else policy.plain(row.max_amount),
        "currency": row.currency,
        "environment": row.environment,
        "condition": row.condition,
        "callee": row.callee,
        "risk": row.risk,
        "rule": row.approval_rule.name if row.approval_rule else "",
        "limits": _limits_of(row.limits),
        "expires_at": _moment(row.expires_at),
        "notes": row.notes,
    }


def _limits_of(kept: Mapping[str, Any]) -> dict[str, str]:
    """Budgets in one order, as text that says each exactly."""
    given = {name: kept[name] for name in budgets.NAMES if kept.get(name) is not None}
    return {name: str(most) if name.startswith("count") else _plain(Decimal(str(most))) for name, most in given.items()}


def _rule_of(row: models.ApprovalRule) -> Fields:
    return {
        "default": row.is_default,
        **_who({"roles": row.roles, **{name: deciders.named(vars(row))[name] for name in ("teams", "people")}}),
        "approvals": row.approvals,
        "alternatives": [{"approvals": way["approvals"], **_who(deciders.named(way))} for way in row.alternatives],
        "denials": row.denials,
        "reason_to_approve": row.reason_to_approve,
        "reason_to_deny": row.reason_to_deny,
        "minutes": row.minutes,
        "escalation": [_step(step) for step in escalation.named(row.escalation)],
        "assurance": row.assurance,
        "confirm_critical": row.confirm_critical,
        "edits_allowed": row.edits_allowed,
        "edit_fields": sorted(row.edit_fields),
        "grants_allowed": row.grants_allowed,
        "critical_seconds": row.critical_seconds,
    }


def _who(given: Mapping[str, Any]) -> Fields:
    return {
        "roles": [role for role in roles.ROLES if role in given["roles"]],
        "teams": sorted(given["teams"]),
        "people": sorted(email.strip().lower() for email in given["people"]),
    }


def _step(given: Mapping[str, Any]) -> Fields:
    return {"after_minutes": given["after_minutes"], **_who(given)}


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


# What there is to be


def desired(read: Read, before: State, values: Mapping[str, str], *, prune: bool) -> State:
    """What there is once the document is applied. Agents, rules and channels that it does not name stay, unless `prune`
    and their section is there; an agent that it names has the tiers it lists, and no others.

    `values` are what `address_env` and `address_file` name. Raises Broken.
    """
    problems: list[Problem] = []
    after = State(
        agents=_kept(before.agents, read, "agents", prune),
        rules=_kept(before.rules, read, "rules", prune),
        channels=_kept(before.channels, read, "channels", prune),
    )
    after.tiers = {slug: before.tiers[slug] for slug in after.agents}
    for slug, agent in read.agents.items():
        after.agents[slug] = _agent(slug, agent, before.agents.get(slug))
        after.tiers[slug] = [
            {"action": action, **_tier(row)}
            for action, rows in sorted(read.permissions.get(slug, {}).items())
            for row in rows
        ]
    for name, rule in read.rules.items():
        after.rules[name] = _rule(rule)
    if not any(rule.default for rule in read.rules.values()):  # then the default stays where it is
        for name in read.rules:
            after.rules[name]["default"] = name in before.rules and before.rules[name]["default"]
    else:
        for name in after.rules:
            after.rules[name]["default"] = name in read.rules and read.rules[name].default
    if after.rules and not any(fields["default"] for fields in after.rules.values()):
        after.rules[min(after.rules)]["default"] = True  # the first there is
    for key, channel in read.channels.items():
        made = _channel(key, channel, before.channels.get(key), values)
        if isinstance(made, str):
            problems.append(read.problem(("channels", key), made))
        else:
            after.channels[key] = made
    problems += _contradictions(read, after)
    if problems:
        raise Broken(problems)
    return State(
        dict(sorted(after.agents.items())),
        dict(sorted(after.tiers.items())),
        dict(sorted(after.rules.items())),
        dict(sorted(after.channels.items())),
        _external_opa(read, before),
    )


def _kept(before: Mapping[str, Fields], read: Read, section: str, prune: bool) -> dict[str, Fields]:
    if prune and section in read.sections:
        return {}
    return {key: dict(fields) for key, fields in before.items()}


def _agent(slug: str, given: Agent, before: Fields | None) -> Fields:
    return {
        "name": given.name or slug,
        "purpose": given.purpose,
        "owner": given.owner.strip().lower(),
        "owner_team": given.owner_team,
        "notes": given.notes,
        "documentation": given.documentation,
        "spiffe_id": given.spiffe_id,
        "limits": _limits(given.limits),
        "limit_currency": given.limit_currency,
        "max_pending": given.max_pending or (before["max_pending"] if before else MAX_PENDING),
        # A file that says nothing of it lets nobody back in who was suspended or banned by hand.
        "status": given.status or (before["status"] if before else "active"),
    }


def _tier(given: Permission) -> Fields:
    amount = given.max_amount
    return {
        **{name: getattr(given, name) for name in TIER},
        "max_amount": None if amount is None else _plain(amount),
        "limits": _limits(given.limits),
        "expires_at": _moment(given.expires_at),
    }


def _limits(given: Limits | None) -> dict[str, str]:
    return {} if given is None else _limits_of(_builtins(given))


def _plain(amount: Decimal) -> str:
    return policy.plain(amount) if amount.is_finite() else str(amount)


def _rule(given: Rule) -> Fields:
    chosen = given.roles
    if chosen is None:
        chosen = [] if given.teams or given.people else default_roles()  # type: ignore[assignment]
    fields: Fields = msgspec.to_builtins(given)
    plain = {name: fields.get(name, getattr(given, name)) for name in given.__struct_fields__}
    return plain | {
        **_who({"roles": chosen, "teams": given.teams, "people": given.people}),
        "alternatives": [{"approvals": way.approvals, **_who(_builtins(way))} for way in given.alternatives],
        "escalation": sorted(
            (_step(_builtins(step)) for step in given.escalation), key=lambda step: step["after_minutes"]
        ),
        "edit_fields": sorted(given.edit_fields),
    }


def _external_opa(read: Read, before: State) -> Fields | None:
    if "external_opa" not in read.sections:
        return before.external_opa
    return _builtins(read.external_opa) if read.external_opa else None


def _builtins(given: Any) -> Fields:
    return {name: getattr(given, name) for name in given.__struct_fields__}


def _channel(key: str, given: Channel, before: Fields | None, values: Mapping[str, str]) -> Fields | str:
    """The fields of a channel, or what is wrong with how its address is given."""
    ways = [name for name in ("address", "address_env", "address_file") if getattr(given, name)]
    if len(ways) != 1:
        return "Say where it goes by one of address, address_env and address_file."
    address = given.address
    if ways[0] != "address":
        name = f"{ways[0].removeprefix('address_')}:{getattr(given, ways[0])}"
        if name not in values:
            return f"{getattr(given, ways[0])} has no value where this is applied."
        address = values[name]
    return {
        "transport": given.transport,
        "name": given.name or key,
        "mode": given.mode,
        "address": address,
        **{name: sorted(getattr(given, name)) for name in ("events", "agents", "teams", "risks", "environments")},
    }


def _contradictions(read: Read, after: State) -> Iterable[Problem]:
    """What no service could say better, as each would see only its own part."""
    defaults = [name for name in read.rules if after.rules[name]["default"]]
    for name in defaults[1:]:
        yield read.problem(("rules", name, "default"), f"{defaults[0]} is the default already: there is one.")
    for slug, agent in read.agents.items():
        if agent.owner and agent.owner_team:
            yield read.problem(("agents", slug, "owner_team"), "An agent has one owner: a person or a team.")
        yield from _bad_limits(read, ("agents", slug), agent.limits, agent.limit_currency, "limit_currency")
        for action, rows in read.permissions.get(slug, {}).items():
            for number, row in enumerate(rows):
                place: Path = ("agents", slug, "permissions", action, number)
                path = (*place, "rule")
                yield from _bad_limits(read, place, row.limits, row.currency, "currency")
                if _limits(row.limits) and row.effect == "deny":
                    yield read.problem((*place, "limits"), "Nothing is counted of what is never allowed.")
                if row.rule and row.effect != "ask":
                    yield read.problem(path, "A rule says who is asked, and nobody is asked here.")
                elif row.rule and row.rule not in after.rules:
                    known = ", ".join(after.rules) or "none"
                    yield read.problem(path, f"There is no rule {row.rule!r}. There are: {known}.")


def _bad_limits(read: Read, place: Path, given: Limits | None, currency: str, unit: str) -> Iterable[Problem]:
    try:
        clean_limits(_limits(given), currency, unit)
    except ValidationError as error:
        for name, messages in error.message_dict.items():
            where = ("limits", name) if name in budgets.NAMES else (name,)
            yield read.problem((*place, *where), f"{name}: {' '.join(messages)}")


def owned_by(organization: Organization, fields: Fields) -> Fields:
    """The owner of an agent, as the services take it. Raises Refused for who is not there."""
    user = team = None
    if fields["owner"]:
        member = organization.memberships.select_related("user").filter(user__email=fields["owner"]).first()
        if member is None:
            raise Refused(f"{fields['owner']} is not a member of {organization.slug}.")
        user = member.user
    if fields["owner_team"]:
        team = organization.teams.filter(slug=fields["owner_team"]).first()
        if team is None:
            raise Refused(f"There is no team {fields['owner_team']!r}.")
    return {"owner_user": user, "owner_team": team}
