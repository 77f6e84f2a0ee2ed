"""publish_checkpoints [--json]"""

from typing import Any

from django.core.management.base import CommandError

from accounts.management.base import PeopleCommand
from notifications.publishing.publish import publish_due
from notifications.publishing.ways import configured


class Command(PeopleCommand):
    help = "Publish the newest checkpoint of every log now, to each place that the environment names."

    def answer(self, **options: Any) -> tuple[Any, str]:
        if not configured():
            raise CommandError("Nothing is set: CHECKPOINT_DIR, CHECKPOINT_WEBHOOK_URL or TIMESTAMP_URL.")
        done = publish_due(everything=True)
        if failed := [each for each in done if each.error]:
            raise CommandError("\n".join(f"{each.way}: {each.origin} at {each.size}: {each.error}" for each in failed))
        lines = [f"{each.way}: {each.origin} at {each.size}" for each in done]
        return [each._asdict() for each in done], "\n".join(lines) or "Everything is published."
