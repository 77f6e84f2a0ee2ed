"""link_slack EMAIL --team T… --user U… [--enterprise E…] [--json]"""

import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.management.base import PeopleCommand, find_user
from notifications.slack import links


class Command(PeopleCommand):
    help = "Link a person and a Slack user. Whoever runs this vouches that they are the same."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")
        parser.add_argument("--team", required=True, metavar="T…", help="the workspace")
        parser.add_argument("--user", required=True, metavar="U…", help="the Slack user: “Copy member ID” in a profile")
        parser.add_argument("--enterprise", default="", metavar="E…", help="on an Enterprise Grid")

    def answer(self, **options: Any) -> tuple[Any, str]:
        for name, form in {
            "team": r"T[A-Z0-9]{2,31}",
            "user": r"[UW][A-Z0-9]{2,31}",
            "enterprise": r"(E[A-Z0-9]{2,31})?",
        }.items():
            if not re.fullmatch(form, options[name]):
                raise CommandError(f"--{name} {options[name]} is not an identifier of Slack's.")
        user = find_user(options["email"])
        made = links.link(
            user=user,
            team_id=options["team"],
            slack_user_id=options["user"],
            enterprise_id=options["enterprise"],
            command_line=True,
        )
        data = {
            "email": user.email,
            "enterprise": made.enterprise_id,
            "team": made.team_id,
            "user": made.slack_user_id,
        }
        return data, f"{user.email} is {made.slack_user_id} in {made.team_id}."
