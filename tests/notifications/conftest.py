"""A real SMTP server that can be told to refuse."""

import email
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.server import free_port


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
    desk = Desk()
    port = free_port()
    controller = Controller(desk, hostname="127.0.0.1", port=port)
    controller.start()
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": port, "timeout": 5},
        }
    }
    yield desk
    controller.stop()
