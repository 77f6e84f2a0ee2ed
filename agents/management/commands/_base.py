"""What the commands of agents share: whose organization, on whose behalf, and how they answer."""

import argparse
import uuid
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db.models import Model

from accounts.by import COMMAND_LINE, By
from accounts.management.base import PeopleCommand, find_member, find_organization
from accounts.models import Organization
from agents import policy
from agents.load import permission_of
from agents.models import Agent, ApiKey, ApprovalRule, Permission
from agents.policy.budgets import NAMES
from agents.services.facts import facts
from agents.services.writing import public_id
from audit.ids import read_id


class AgentsCommand(PeopleCommand):
    """A command whose `run` does the work and returns what `--json` prints, and the same in words."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument(
            "--by", metavar="EMAIL", help="on whose behalf; the record names them instead of the command line"
        )

    def answer(self, **options: Any) -> tuple[Any, str]:
        try:
            return self.run(**options)
        except ValidationError as error:
            said = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            lines = [f"{name}: {text}".removeprefix(": ") for name, texts in said.items() for text in texts]
            raise CommandError("\n".join(lines)) from error

    def run(self, **options: Any) -> tuple[Any, str]:
        """Does it. Returns what to say, as JSON data and in words."""
        raise NotImplementedError

    def organization(self, options: dict[str, Any]) -> Organization:
        """The one that --organization names, or the only one there is."""
        return find_organization(options["organization"])

    def agent(self, slug: str, options: dict[str, Any]) -> Agent:
        """The agent with that slug; where several organizations have one, --organization says which."""
        agents = Agent.objects.select_related("organization").filter(slug=slug, deleted_at=None)
        if options["organization"]:
            agents = agents.filter(organization=self.organization(options))
        found = list(agents[:2])
        if not found:
            raise CommandError(f"There is no agent {slug!r}.")
        if len(found) > 1:
            raise CommandError(f"Several organizations have an agent {slug!r}: say --organization SLUG.")
        return found[0]

    def by(self, organization: Organization, options: dict[str, Any]) -> By:
        """The member that --by names, or the command line."""
        return find_member(options["by"], organization) if options["by"] else COMMAND_LINE

    def owner(self, organization: Organization, options: dict[str, Any]) -> dict[str, Any]:
        """The owner's fields, as --owner and --team say; empty where neither was given."""
        if options["owner"] and options["team"]:
            raise CommandError("An agent has one owner: use --owner or --team.")
        if options["owner"]:
            return {"owner_user": find_member(options["owner"], organization).user, "owner_team": None}
        if options["team"]:
            team = organization.teams.filter(slug=options["team"]).first()
            if team is None:
                raise CommandError(f"There is no team {options['team']!r}.")
            return {"owner_user": None, "owner_team": team}
        return {}

    def rule(self, organization: Organization, name: str) -> ApprovalRule:
        rule = organization.approval_rules.filter(name=name).first()
        if rule is None:
            raise CommandError(f"There is no approval rule {name!r}.")
        return rule

    def key(self, name: str, options: dict[str, Any]) -> ApiKey:
        """The key that `key_…` names, of the organization if one is given."""
        keys = ApiKey.objects.select_related("organization", "agent").filter(pk__in=ids("key", name))
        if options["organization"]:
            keys = keys.filter(organization=self.organization(options))
        key = keys.first()
        if key is None:
            raise CommandError(f"There is no key {name!r}. Use the id that list_api_keys prints.")
        return key


def ids(prefix: str, text: str) -> list[uuid.UUID]:
    """The id that `text` is, if it is one."""
    found = read_id(prefix, text)
    return [found] if found else []


def as_json(row: Model) -> dict[str, Any]:
    """A row for scripts."""
    return {"id": public_id(row), **facts(row, whole=True)}


def moment(text: str) -> datetime:
    """An argument such as 2027-01-31 or 2027-01-31T12:00Z; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2027-01-31T12:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those options that were given."""
    return {name: options[name] for name in names if options[name] is not None}


def add_limits(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--limit",
        action="append",
        type=limit,
        metavar="NAME=NUMBER",
        help=f"a budget, such as count_per_hour=12; NAME= takes it away; {', '.join(NAMES)}; may be repeated",
    )


def limit(text: str) -> tuple[str, str]:
    """An argument such as count_per_hour=12."""
    name, equals, most = text.partition("=")
    if not equals or name not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a budget such as count_per_hour=12")
    return name, most


def limits(options: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """What there was, with what --limit says."""
    return before | dict(options["limit"] or ())


def line(permission: Permission) -> str:
    """A tier on one line."""
    return f"{public_id(permission)}  {policy.describe(permission_of(permission))}"
