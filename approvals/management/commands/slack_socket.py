"""slack_socket: holds Slack's lines (Socket Mode) until it is told to stop."""

import signal
import threading

from django.core.management.base import BaseCommand

from approvals.slack.views import heard
from notifications.slack.socket import Lines


class Command(BaseCommand):
    help = "Hold a line to Slack for each app with an app token (Socket Mode). Runs until SIGTERM; one is enough."

    def handle(self, *args: object, **options: object) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Lines(heard).run(stop)
