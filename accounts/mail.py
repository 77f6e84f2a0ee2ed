"""Mail to one person, now: what went wrong comes back as a sentence, never as an exception."""

import smtplib
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

log = structlog.get_logger(__name__)


def site_url(path: str) -> str:
    """The address people open for `path`: from SITE_URL, never from what a request calls its host."""
    return settings.SITE_URL + path


def send(*, to: str, subject: str, template: str, context: dict[str, Any]) -> str:
    """Sends one mail. Returns nothing where the mail server took it, else why it did not, for the person who waits."""
    return deliver(EmailMessage(subject=" ".join(subject.split()), body=render_to_string(template, context), to=[to]))


def deliver(message: EmailMessage) -> str:
    """As `send`, for a finished message. Takes as long as the mail server's time-out: never within a transaction."""
    if not is_configured():
        message.send()  # into the folder for mail
        return "No mail server is configured here, so nothing was sent."
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("mail.failed", to=message.to, subject=message.subject, error=type(error).__name__)
        return "The mail server did not take the message."
    return ""


def is_configured() -> bool:
    """Whether mail leaves this machine."""
    return "filebased" not in settings.MAILERS["default"]["BACKEND"]
