"""The streams' process."""

import signal

from django.core.management.base import BaseCommand

from notifications.streams import runner
from warden.checks import refuse_to_start


class Command(BaseCommand):
    help = "Bring the record to where streams lead, until told to stop. One does it; others wait to take over."

    def handle(self, *args: object, **options: object) -> None:
        refuse_to_start()
        stopping = False

        def stop(*_: object) -> None:
            nonlocal stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        runner.run(lambda: stopping)
