"""set_notifications EMAIL [--mail …] [--quiet 22:00-07:00 | --no-quiet] [--timezone …] [--critical] [--test]"""

from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from datetime import time
from typing import Any

from django.core.management.base import CommandError

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization, find_user
from accounts.models import Membership
from notifications.models import Preference
from notifications.services import preferences


def hours(text: str) -> tuple[time, time]:
    """`22:00-07:00` as a beginning and an end."""
    try:
        start, end = map(time.fromisoformat, text.split("-"))
    except ValueError as error:
        raise ArgumentTypeError("write quiet hours as 22:00-07:00") from error
    return start, end


class Command(PeopleCommand):
    help = "Change what an organization mails a person, and when; what is not given stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("email")
        parser.add_argument("--mail", choices=Preference.Mail.values)
        parser.add_argument("--quiet", type=hours, metavar="HH:MM-HH:MM", help="hours in which mail waits")
        parser.add_argument("--no-quiet", action="store_true", help="no quiet hours")
        parser.add_argument("--timezone", help="such as Europe/Berlin")
        parser.add_argument("--critical", dest="critical_always", action=BooleanOptionalAction, help="at once, always")
        parser.add_argument("--test", dest="test_mode", action=BooleanOptionalAction, help="requests of test keys too")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        user = find_user(options["email"])
        membership = Membership.objects.filter(organization=organization, user=user).first()
        if membership is None:
            raise CommandError(f"{user.email} does not belong to {organization}.")
        names = ("mail", "timezone", "critical_always", "test_mode")
        fields = {name: options[name] for name in names if options[name] is not None}
        if options["quiet"] or options["no_quiet"]:
            fields["quiet_from"], fields["quiet_until"] = options["quiet"] or (None, None)
        chosen = preferences.change(membership=membership, by=COMMAND_LINE, **fields)
        data = {name: getattr(chosen, name) for name in names} | {
            "email": user.email,
            "quiet_from": f"{chosen.quiet_from:%H:%M}" if chosen.quiet_from else None,
            "quiet_until": f"{chosen.quiet_until:%H:%M}" if chosen.quiet_until else None,
            "digest_due_at": chosen.digest_due_at.isoformat() if chosen.digest_due_at else None,
        }
        quiet = f", quiet from {data['quiet_from']} to {data['quiet_until']}" if chosen.quiet_from else ""
        return data, f"{user.email}: {chosen.get_mail_display().lower()}{quiet} ({chosen.timezone})."
