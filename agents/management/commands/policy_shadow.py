from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.code.reading import Broken
from agents.management.commands._base import AgentsCommand
from agents.management.commands._policy import PolicyCommand
from agents.models import ShadowPolicy
from agents.services.shadow import compare, end_shadow, set_shadow


class Command(AgentsCommand):
    help = "Have policy files be asked beside the policy, without ever answering; without files, say what they said."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("files", nargs="*", metavar="FILE", help="each laid over those before it")
        parser.add_argument("--source", default="", help="where the files come from, such as a commit")
        parser.add_argument("--end", action="store_true", help="ask the shadow nothing any more")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        by = self.by(organization, options)
        if options["end"]:
            end_shadow(organization=organization, by=by)
            return {"shadow": None}, "No shadow any more."
        if options["files"]:
            try:
                set_shadow(
                    organization=organization, by=by, files=PolicyCommand.files(options), source=options["source"]
                )
            except Broken as broken:
                raise CommandError(str(broken)) from broken
        row = ShadowPolicy.objects.filter(organization=organization).first()
        if row is None:
            return {"shadow": None}, "There is no shadow."
        found = compare(row)
        groups = [
            {"agent": agent, "action": action, "was": was, "would": would, "count": count}
            for (agent, action, was, would), count in found.groups.most_common()
        ]
        lines = [
            f"{each['count']:>8}  {each['agent']}  {each['action']}  {each['was']} → {each['would']}" for each in groups
        ]
        data = {
            "shadow": {"set_at": row.set_at.isoformat(), "source": row.source},
            "looked_at": found.looked_at,
            "differs": found.differs,
            "groups": groups,
        }
        return data, "\n".join([*lines, f"{found.differs} of {found.looked_at} checks would be decided otherwise."])
