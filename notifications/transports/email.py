"""E-mail: plain text, by SMTP; into files while no server is configured (see settings)."""

import smtplib
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage

from audit.ids import show_id
from notifications.models import Delivery
from notifications.transports.errors import TransportError

# 5yz is permanent (RFC 5321, 4.2.1), except where it speaks of us, not of the message: log-in (530, 534, 535, 538).
OURS = {530, 534, 535, 538}


def send(delivery: Delivery) -> None:
    """Hands one message to the server. Raises TransportError.

    The same delivery always has the same Message-ID, so that a message sent twice can be recognized.
    """
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1] or settings.DEFAULT_FROM_EMAIL
    message = EmailMessage(
        subject=delivery.subject,
        body=delivery.text,
        to=[delivery.address],
        headers={
            "Message-ID": f"<{show_id('dlv', delivery.id)}@{sender.rpartition('@')[2] or 'warden'}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please
            "X-Auto-Response-Suppress": "All",
        },
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()), (0, b""))
        raise TransportError(_said(code, text), permanent=_is_permanent(code)) from error
    except smtplib.SMTPResponseException as error:
        said = _said(error.smtp_code, error.smtp_error)
        raise TransportError(said, permanent=_is_permanent(error.smtp_code)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise TransportError(f"The mail server could not be reached: {error}"[:500], permanent=False) from error
    except ValueError as error:  # an address or a header that no server would take
        raise TransportError(f"The message cannot be sent: {error}"[:500], permanent=True) from error


def _is_permanent(code: int) -> bool:
    return 500 <= code < 600 and code not in OURS


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"The mail server said {code} {words}"[:500]
