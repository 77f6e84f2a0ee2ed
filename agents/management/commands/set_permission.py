from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand, add_limits, as_json, given, ids, limits, line, moment
from agents.models import Permission
from agents.services import permissions

FIELDS = ("effect", "max_amount", "currency", "environment", "condition", "callee", "risk", "expires_at", "notes")


def amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None


class Command(AgentsCommand):
    help = (
        "Add a tier to an agent, or change the one that has this name, environment and callee. "
        "What is not given stays as it is; an empty text takes a limit away."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")
        parser.add_argument("action", help="a name such as stripe.refund.small, a wildcard such as email.*, or prm_…")
        parser.add_argument("--effect", choices=Permission.Effect.values, help="needed for a new tier")
        limit = parser.add_mutually_exclusive_group()
        limit.add_argument("--max-amount", type=amount)
        limit.add_argument("--no-maximum", action="store_true")
        parser.add_argument("--currency", help="a code of ISO 4217")
        parser.add_argument("--environment")
        parser.add_argument("--condition", help="CEL")
        parser.add_argument("--callee", help="SPIFFE ID")
        parser.add_argument("--risk", choices=Permission.Risk.values)
        parser.add_argument("--rule", metavar="NAME", help="the approval rule; the default unless given")
        parser.add_argument("--expires-at", type=moment, help="such as 2027-01-31T12:00Z")
        parser.add_argument("--notes")
        add_limits(parser)
        parser.add_argument("--add", action="store_true", help="add another tier of a name there is already")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        by = self.by(agent.organization, options)
        fields = given(options, *FIELDS)
        if options["no_maximum"]:
            fields["max_amount"] = None
        if options["rule"] is not None:
            fields["approval_rule"] = self.rule(agent.organization, options["rule"]) if options["rule"] else None
        found = [] if options["add"] else self.find(agent.permissions.all(), options)
        if len(found) > 1:
            listed = "\n".join(line(each) for each in found)
            raise CommandError(f"Several tiers could be meant; use the id of one, or --add:\n{listed}")
        if options["limit"]:
            fields["limits"] = limits(options, found[0].limits if found else {})
        if found:
            row = permissions.change_permission(permission=found[0], by=by, **fields)
            return as_json(row), f"Changed {line(row)}"
        if "effect" not in fields:
            raise CommandError("A new tier needs --effect allow, ask or deny.")
        row = permissions.create_permission(agent=agent, by=by, action=options["action"], **fields)
        return as_json(row), f"Added {line(row)}"

    @staticmethod
    def find(rows: Any, options: dict[str, Any]) -> list[Permission]:
        if options["action"].startswith("prm_"):
            found = list(rows.filter(pk__in=ids("prm", options["action"])))
            if not found:
                raise CommandError(f"The agent has no tier {options['action']!r}.")
            return found
        found = list(rows.filter(action=options["action"]))
        for name in ("environment", "callee"):
            if options[name] is not None and len(found) > 1:
                found = [each for each in found if getattr(each, name) == options[name]]
        return found
