"""apply_retention [--dry-run] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand
from warden import retaining


class Command(PeopleCommand):
    help = "Delete what is older than each organization keeps it. Once a day this happens by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def answer(self, **options: Any) -> tuple[Any, str]:
        if options["dry_run"]:
            found, besides = retaining.due(), retaining.besides()
            lines = [retaining.words(each) for each in found]
            lines += [
                f"{each.organization}: {each.requests} requests and {each.deliveries} deliveries before {each.before}"
                for each in besides
            ]
            data = {
                "dry_run": True,
                "logs": [retaining.facts(each) for each in found],
                "besides": [each._asdict() for each in besides],
            }
            return data, "\n".join(lines) or "Nothing is over."
        outcome = retaining.apply(progress=self._progress)
        lines = [retaining.words(each) for each in outcome.gone]
        lines += [f"{each.log.origin}: waits for the sequencer" for each in outcome.waiting]
        lines += [
            f"{outcome.events} events and {len(outcome.months)} whole months,"
            f" {outcome.requests} requests and {outcome.deliveries} deliveries are deleted."
        ]
        data = {
            "dry_run": False,
            "logs": [retaining.facts(each) for each in outcome.gone],
            "waiting": [retaining.facts(each) for each in outcome.waiting],
            "events": outcome.events,
            "months": outcome.months,
            "requests": outcome.requests,
            "deliveries": outcome.deliveries,
        }
        return data, "\n".join(lines)

    def _progress(self, table: str, done: int) -> None:
        self.stderr.write(f"{table}: " + (f"{done:,} events so far" if done else "dropped as a whole"))
