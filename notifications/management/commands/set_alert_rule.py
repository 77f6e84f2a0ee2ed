from argparse import ArgumentParser, BooleanOptionalAction
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.models import Organization
from audit.clock import database_now
from audit.ids import show_id
from notifications.alerts import measures
from notifications.alerts import rules as services
from notifications.alerts.rules import facts, sentence

FIELDS = ("measure", "threshold", "window_minutes", "severity", "is_active")


class Command(PeopleCommand):
    help = "Create an alert rule, or change the one of that name; what is not given stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("name")
        parser.add_argument("--mode", choices=["live", "test"], default="live")
        parser.add_argument("--measure", help=", ".join(sorted(each.name for each in measures.known())))
        parser.add_argument("--threshold", type=float, help="fires above it; a share as a number: 0.3 is 30 %%")
        parser.add_argument("--window", dest="window_minutes", type=int, help="minutes that are looked at")
        parser.add_argument("--severity", choices=["info", "warning", "critical"])
        parser.add_argument("--channel", action="append", help="name of a channel that is told; may be repeated")
        parser.add_argument("--admins", action="store_true", help="no channel: the owners and admins, by mail")
        parser.add_argument("--mute", type=int, metavar="MINUTES", help="from now; 0 ends a mute")
        parser.add_argument("--active", dest="is_active", action=BooleanOptionalAction)

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        fields = {name: options[name] for name in FIELDS if options[name] is not None}
        if options["mute"] is not None:
            minutes = timedelta(minutes=options["mute"])
            fields["muted_until"] = database_now() + minutes if minutes else None
        if options["channel"] or options["admins"]:
            fields["channels"] = self._channels(organization, options)
        rule = organization.alert_rules.filter(mode=options["mode"], name=options["name"]).first()
        if rule:
            rule = services.change(rule=rule, by=COMMAND_LINE, **fields)
        elif options["measure"] is None or options["threshold"] is None:
            raise CommandError("A new rule needs --measure and --threshold.")
        else:
            rule = services.create(
                organization=organization, mode=options["mode"], by=COMMAND_LINE, name=options["name"], **fields
            )
        return {"id": show_id("alr", rule.pk), **facts(rule)}, f"{rule.name}: {sentence(rule)}, {rule.severity}"

    def _channels(self, organization: Organization, options: dict[str, Any]) -> list[Any]:
        names = set(options["channel"] or ())
        found = dict(organization.channels.filter(mode=options["mode"], name__in=names).values_list("name", "pk"))
        if missing := sorted(names - found.keys()):
            raise CommandError(f"There is no channel {missing[0]!r} in {options['mode']} mode.")
        return list(found.values())
