"""Socket Mode: for a Warden that Slack cannot reach, Warden calls Slack and holds the line.

The line is authenticated by the app token, so nothing on it is signed; each envelope counts once all the same.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import close_old_connections
from django.db.models.functions import Now
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from notifications.models import SlackApp
from notifications.slack.client import web_client
from notifications.vault import unseal

log = structlog.get_logger(__name__)
Answer = tuple[dict[str, object] | None, Callable[[], None] | None]
Handler = Callable[[SlackApp, str, str, dict[str, object]], Answer]
LOOK_AGAIN = 15.0  # seconds until an app that was connected, changed or disconnected is noticed
UNHELD = timedelta(seconds=3 * LOOK_AGAIN)  # since nobody was seen holding a line


def is_held(app: SlackApp, now: datetime) -> bool:
    """Whether some process holds the app's line at `now`, the database's clock, or did a moment ago."""
    return app.line_at is not None and now - app.line_at < UNHELD


class Lines:
    """One line for each app with an app token. `handle(app, kind, envelope id, payload)` answers what comes in."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._open: dict[str, tuple[str, SocketModeClient]] = {}

    def run(self, stop: threading.Event) -> None:
        """Holds the lines until `stop` is set."""
        try:
            while not stop.is_set():
                close_old_connections()
                self.look()
                stop.wait(LOOK_AGAIN)
        finally:
            for name in list(self._open):
                self._close(name)
            close_old_connections()

    def look(self) -> None:
        """Opens lines that are missing, closes those that should not be, and notes which are held."""
        wanted = {str(app.pk): app for app in SlackApp.objects.filter(is_active=True).exclude(app_token="")}
        for name, (token, _) in list(self._open.items()):
            if name not in wanted or wanted[name].app_token != token:
                self._close(name)
        for name, app in wanted.items():
            if name not in self._open:
                try:
                    self._open[name] = (app.app_token, self._dial(app))
                except Exception as error:  # one workspace's line must not keep the others from theirs
                    log.warning("Slack's line could not be opened", app=name, error=type(error).__name__)
        held = [name for name, (_, client) in self._open.items() if client.is_connected()]
        SlackApp.objects.filter(pk__in=held).update(line_at=Now())

    def _dial(self, app: SlackApp) -> SocketModeClient:
        quiet = logging.getLogger("slack_sdk.socket_mode")
        client = SocketModeClient(app_token=unseal(app.app_token), web_client=web_client(None), logger=quiet)
        client.socket_mode_request_listeners.append(lambda line, request: self._heard(line, request, app.pk))
        try:
            client.connect()
        except Exception:
            client.close()
            raise
        log.info("Slack's line is open", app=str(app.pk))
        return client

    def _close(self, name: str) -> None:
        self._open.pop(name)[1].close()

    def _heard(self, line: BaseSocketModeClient, request: SocketModeRequest, pk: UUID) -> None:
        """Handles first, then acknowledges: what was not committed comes again."""
        close_old_connections()
        try:
            app = SlackApp.objects.select_related("organization").get(pk=pk, is_active=True)
            body, after = self._handle(app, request.type, request.envelope_id, request.payload)
            line.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=body))
            if after:
                after()
        except Exception:  # on a thread of slack-sdk: it is logged here or nowhere, and Slack sends it again
            log.exception("what Slack sent could not be handled", kind=request.type)
        finally:
            close_old_connections()
