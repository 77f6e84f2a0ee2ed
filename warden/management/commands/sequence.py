"""The sequencer's process."""

import signal

from django.core.management.base import BaseCommand

from audit import sequencer
from warden.checks import refuse_to_start


class Command(BaseCommand):
    help = "Put the record in order and sign it, until told to stop. One does it; others wait to take over."

    def handle(self, *args: object, **options: object) -> None:
        refuse_to_start()
        stopping = False

        def stop(*_: object) -> None:
            nonlocal stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        sequencer.run(lambda: stopping)
