from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand, find_organization
from audit.ids import show_id
from notifications.alerts.rules import facts, sentence


class Command(PeopleCommand):
    help = "List alert rules, and which of them fire."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--mode", choices=["live", "test"], default="live")

    def answer(self, **options: Any) -> tuple[Any, str]:
        rules = find_organization(options["organization"]).alert_rules.filter(mode=options["mode"])
        rows, words = [], []
        for rule in rules.prefetch_related("channels"):
            firing = rule.alerts.filter(resolved_at=None).exists()
            rows.append({"id": show_id("alr", rule.pk), **facts(rule), "firing": firing})
            off = "" if rule.is_active else " (off)"
            words.append(f"{rule.name}{off}: {sentence(rule)}, {rule.severity}{'; FIRING' if firing else ''}")
        return rows, "\n".join(words)
