"""E-mail: text and HTML, by SMTP; into files while no server is configured (see settings)."""

import smtplib
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.core.mail.backends.smtp import EmailBackend
from django.urls import reverse

from audit.ids import show_id
from notifications.models import Delivery
from notifications.transports.errors import TransportError

# 5yz is permanent (RFC 5321, 4.2.1), except where it speaks of us, not of the message: log-in (530, 534, 535, 538).
OURS = {530, 534, 535, 538}
DIGEST = "digest"  # the event of a digest


def send(delivery: Delivery) -> str:
    """Hands one message to the server. Returns the server's words. Raises TransportError.

    The same delivery always has the same Message-ID, so that a message sent twice can be recognized. Messages about
    one thing name it as what they answer to, and so make one thread, whatever the order they arrive in.
    """
    host = sending_host()
    headers = {
        "Message-ID": f"<{show_id('dlv', delivery.id)}@{host}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please
        "X-Auto-Response-Suppress": "All",
    }
    if delivery.event == DIGEST:
        page = settings.SITE_URL + reverse("notifications:unsubscribe", args=[delivery.announcement.target])
        headers["List-Unsubscribe"] = f"<{page}>"  # a page that asks; no List-Unsubscribe-Post: nothing ends unasked
        headers["List-Id"] = f"Warden digest <digest.{host}>"
    elif delivery.announcement.target:
        headers["In-Reply-To"] = headers["References"] = f"<{delivery.announcement.target}@{host}>"
    message = EmailMultiAlternatives(
        subject=delivery.subject, body=delivery.text, to=[delivery.address], headers=headers
    )
    if delivery.html:
        message.attach_alternative(delivery.html, "text/html")
    return hand_over(message)


def hand_over(message: EmailMultiAlternatives) -> str:
    """Gives a finished message to the mail server. Returns what the server said. Raises TransportError."""
    backend = mailers.default
    said: list[str] = []
    if isinstance(backend, EmailBackend):
        backend = _listening(backend, said)
    try:
        backend.send_messages([message])
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()), (0, b""))
        # It is the address that is refused, whatever the message: a channel there is disabled.
        raise TransportError(_refused(code, text), disable=_is_permanent(code)) from error
    except smtplib.SMTPResponseException as error:
        said_no = _refused(error.smtp_code, error.smtp_error)
        raise TransportError(said_no, permanent=_is_permanent(error.smtp_code)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise TransportError(f"The mail server could not be reached: {error}"[:500], silent=True) from error
    except ValueError as error:  # an address or a header that no server would take
        raise TransportError(f"The message cannot be sent: {error}"[:500], permanent=True) from error
    return said[-1] if said else "Kept as a file: no mail server is configured."


def sending_host() -> str:
    """What stands behind the @ of the address we send from."""
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1] or settings.DEFAULT_FROM_EMAIL
    return sender.rpartition("@")[2] or "warden"


def _listening(backend: EmailBackend, said: list[str]) -> EmailBackend:
    """The same backend, which keeps what the server says to the message itself; smtplib throws that away."""
    plain: type[smtplib.SMTP] = smtplib.SMTP_SSL if backend.use_ssl else smtplib.SMTP

    class Listening(plain):  # type: ignore[valid-type,misc]
        def data(self, msg: Any) -> tuple[int, bytes]:
            code, text = super().data(msg)
            said.append(f"{code} {text.decode('utf-8', 'replace')}"[:500])
            return code, text

    class Backend(type(backend)):  # type: ignore[misc]
        connection_class = Listening

    backend.__class__ = Backend
    return backend


def _is_permanent(code: int) -> bool:
    return 500 <= code < 600 and code not in OURS


def _refused(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"The mail server said {code} {words}"[:500]
