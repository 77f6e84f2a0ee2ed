from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from agents.code.scenarios import junit
from agents.management.commands._policy import PolicyCommand
from agents.services import policy
from audit.clock import database_now


class Command(PolicyCommand):
    help = "Run the scenarios of policy files on what these would make; fail where one does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--fail-under", type=float, default=0.0, metavar="PERCENT", help="of tiers that are met")
        parser.add_argument("--junit", metavar="FILE", help="write the results there, as JUnit's XML")

    def run(self, **options: Any) -> tuple[Any, str]:
        report = policy.run_tests(
            self.organization(options), self.files(options), now=database_now(), prune=options["prune"]
        )
        if options["junit"]:
            Path(options["junit"]).write_text(junit(report), "utf-8")
        lines = [f"{each.file}:{each.line}: {each.scenario.name}: {each.wrong}" for each in report.failed]
        missed = [f"not met: {each.agent}: {each.words}" for each in report.tiers if not each.covered]
        passed = len(report.results) - len(report.failed)
        total = f"{passed} of {len(report.results)} hold; {report.coverage:.1f} % of tiers are met."
        words = "\n".join([*lines, *missed, total])
        if report.failed or report.coverage < options["fail_under"]:
            raise CommandError(words)
        return {
            "tests": len(report.results),
            "failed": 0,
            "coverage": report.coverage,
            "permission_coverage": report.permission_coverage,
            "missed": [{"agent": each.agent, "tier": each.words} for each in report.tiers if not each.covered],
        }, words
