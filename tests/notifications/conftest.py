"""A real SMTP server and a real HTTP receiver, which can be told to refuse."""

import email
import ipaddress
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.approvals.browsing import browser, desk
from tests.server import free_port

__all__ = ["browser", "desk"]  # fixtures


class Desk:
    """The handler: keeps what it accepts; `answers` are given first, one a message."""

    def __init__(self) -> None:
        self.inbox: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refused: dict[str, str] = {}
        self.answers: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers and not self.answers[0].startswith("250"):
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.inbox.append(email.message_from_bytes(envelope.content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        return self.answers.pop(0) if self.answers else "250 OK"


@pytest.fixture
def smtp(settings: Any) -> Iterator[Desk]:
    """The server, with Warden's mail settings pointing at it."""
    mail_desk = Desk()
    port = free_port()
    controller = Controller(mail_desk, hostname="127.0.0.1", port=port)
    controller.start()
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": port, "timeout": 5},
        }
    }
    yield mail_desk
    controller.stop()


@dataclass
class Received:
    """One request that reached the receiver."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A real HTTP server on the loopback; `answers` are given first, one a request: (status, headers, body)."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.command, self.path, headers, body))
                status, extra, said = receiver.answers.pop(0) if receiver.answers else (200, {}, b"thanks")
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks?from=warden"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """The receiver, on the one private network that this Warden may then send to."""
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()
