from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from typing import Any

from accounts.roles import ROLES
from agents.assurance import LEVELS
from agents.management.commands._base import AgentsCommand, as_json, given
from agents.services import rules
from agents.words import rule_sentence

FIELDS = (
    "roles",
    "teams",
    "people",
    "approvals",
    "denials",
    "reason_to_approve",
    "reason_to_deny",
    "minutes",
    "assurance",
    "confirm_critical",
    "critical_seconds",
    "grants_allowed",
)


def names(text: str) -> list[str]:
    """`owner,admin` as a list; `none` is none."""
    return [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]


def who(text: str) -> dict[str, list[str]]:
    """`admin,finance,ann@example.com` as agents.services.deciders takes it."""
    given = names(text)
    return {
        "roles": [name for name in given if name in ROLES],
        "teams": [name for name in given if name not in ROLES and "@" not in name],
        "people": [name for name in given if "@" in name],
    }


def way(text: str) -> dict[str, Any] | None:
    """`2:finance,ann@example.com` as agents.services.deciders takes it; None for `none`."""
    if text == "none":
        return None
    count, _, whom = text.partition(":")
    if not count.isdecimal() or not names(whom):
        raise ArgumentTypeError(f"{text!r} is not like 1:directors")
    return {"approvals": int(count), **who(whom)}


def step(text: str) -> dict[str, Any] | None:
    """`30:admin,finance,ann@example.com` as agents.services.escalation takes it; None for `none`."""
    if text == "none":
        return None
    minutes, _, whom = text.partition(":")
    if not minutes.isdecimal() or not names(whom):
        raise ArgumentTypeError(f"{text!r} is not like 30:admin,finance")
    return {"after_minutes": int(minutes), **who(whom)}


class Command(AgentsCommand):
    help = "Create an approval rule, or change the one of that name; what is not given stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")
        parser.add_argument("--roles", type=names, help="such as owner,admin,approver; none is none")
        parser.add_argument("--teams", type=names, help="slugs, by commas")
        parser.add_argument("--people", type=names, help="e-mail addresses of members, by commas")
        parser.add_argument("--approvals", type=int, help="how many are needed")
        parser.add_argument(
            "--or",
            action="append",
            type=way,
            dest="alternatives",
            metavar="APPROVALS:WHO",
            help="or so many approvals by WHO: roles, team slugs and e-mail addresses, by commas; may be repeated."
            " 'none' takes every alternative away",
        )
        parser.add_argument("--denials", type=int, help="how many end it")
        parser.add_argument("--reason-to-approve", action=BooleanOptionalAction)
        parser.add_argument("--reason-to-deny", action=BooleanOptionalAction)
        parser.add_argument("--minutes", type=int, help="until a request expires")
        parser.add_argument(
            "--escalate",
            action="append",
            type=step,
            metavar="MINUTES:WHO",
            help="after so long WHO may decide too: roles, team slugs and e-mail addresses, by commas; may be repeated."
            " 'none' takes every step away",
        )
        parser.add_argument("--assurance", choices=list(LEVELS), help="the least it takes to decide")
        parser.add_argument("--confirm-critical", action=BooleanOptionalAction, help="critical ones are typed out")
        parser.add_argument(
            "--critical-seconds", type=int, help="how long a critical one is on the page before it is approved"
        )
        parser.add_argument(
            "--editable",
            type=names,
            metavar="FIELDS",
            help="fields of the context that whoever decides may change first, by commas; none is none",
        )
        parser.add_argument(
            "--grants-allowed", action=BooleanOptionalAction, help="approving may allow more of the same kind"
        )
        parser.add_argument("--default", action="store_true", help="for tiers that name no rule")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        by, fields = self.by(organization, options), given(options, *FIELDS)
        if options["escalate"] is not None:
            fields["escalation"] = [each for each in options["escalate"] if each]
        if options["alternatives"] is not None:
            fields["alternatives"] = [each for each in options["alternatives"] if each]
        if options["editable"] is not None:
            fields |= {"edits_allowed": bool(options["editable"]), "edit_fields": options["editable"]}
        if options["default"]:
            fields["is_default"] = True
        rule = organization.approval_rules.filter(name=options["name"]).first()
        if rule:
            rule = rules.change_rule(rule=rule, by=by, **fields)
        else:
            rule = rules.create_rule(organization=organization, by=by, name=options["name"], **fields)
        return as_json(rule), f"{rule.name}: {rule_sentence(rule.snapshot())}"
