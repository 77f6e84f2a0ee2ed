import uuid
from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from typing import Any

from agents.code.backtest import PAGE, replay
from agents.management.commands._policy import PolicyCommand
from agents.services import policy
from audit.clock import database_now
from audit.ids import read_id


class Command(PolicyCommand):
    help = "Ask what policy files would make what agents really asked: what would have been decided otherwise."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=int, default=7, help="how far back (default: 7)")
        parser.add_argument("--most", type=int, default=100_000, help="checks that are looked at, the newest")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        _, compiled = policy.proposed(organization, self.files(options), prune=options["prune"])
        since = database_now() - timedelta(days=options["days"])
        groups: Counter[tuple[str, str, str, str]] = Counter()
        examples: list[Any] = []
        looked_at = differs = 0
        after: uuid.UUID | None = None
        while looked_at < options["most"]:
            page = replay(organization, compiled, since=since, after=after, most=PAGE)
            looked_at, differs = looked_at + page.looked_at, differs + page.differs
            groups += page.groups
            examples += page.examples[: 100 - len(examples)]
            self.stderr.write(f"{looked_at} checks looked at, {differs} would differ")
            if page.next is None:
                break
            after = read_id("evt", page.next)
        rows = [
            {"agent": agent, "action": action, "was": was, "would": would, "count": count}
            for (agent, action, was, would), count in groups.most_common()
        ]
        lines = [
            f"{each['count']:>8}  {each['agent']}  {each['action']}  {each['was']} → {each['would']}" for each in rows
        ]
        said = [
            {
                "event_id": each.event_id,
                "at": each.at.isoformat(),
                "agent": each.agent,
                "action": each.action,
                "was": each.was,
                "would": each.would,
                "reason": each.reason,
            }
            for each in examples
        ]
        words = "\n".join([*lines, f"{differs} of {looked_at} checks would have been decided otherwise."])
        return {"looked_at": looked_at, "differs": differs, "groups": rows, "examples": said}, words
