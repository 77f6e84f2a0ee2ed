"""Syslog messages (RFC 5424), framed by octet counting (RFC 5425, 4.3; RFC 6587, 3.4.1). Pure but for two settings."""

import re
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings

from audit import ocsf
from audit.leaf import timestamp
from audit.sequenced import Sequenced, log_name
from notifications.models import Stream
from notifications.streams.sending import line

AUDIT = 13  # facility: log audit
# Severity of syslog by that of OCSF: informational, notice, warning, error, critical.
SEVERITY = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}
SPECIAL = re.compile(r'(["\\\]])')
HIDDEN = re.compile(r"[\x00-\x1f\x7f]")  # control characters: none belongs in a parameter


def frame(message: str) -> bytes:
    """MSG-LEN SP SYSLOG-MSG."""
    data = message.encode()
    return b"%d %s" % (len(data), data)


def message(stream: Stream, event: Sequenced) -> str:
    """One event: who, whom, what and where in the log as structured data, the event itself as JSON behind it."""
    told = ocsf.to_ocsf(event, payloads=False)
    body = event.body
    kind = str(body.get("kind") or "record:missing")
    head = _head(SEVERITY[told["severity_id"]], str(body.get("at") or "-"), log_name(event.mode), kind)
    return f"{head} {_structured(event, kind)} {line(stream, event).rstrip()}"


def test_message(now: datetime) -> str:
    """A message that is no event."""
    return (
        f'{_head(6, timestamp(now), "-", "test")} - {{"test":true,"message":"A test from Warden: this stream works."}}'
    )


def fields(event: Sequenced) -> dict[str, str]:
    """The parameters: those that AgentWeave's guide names, and what finds the event in its log."""
    body, kept = event.body, event.kept
    actor = body.get("actor")
    said = {
        "index": event.index,
        "leaf": event.leaf,
        "log": event.origin,
        "id": body.get("id"),
        "organization": body.get("organization"),
        "kind": body.get("kind"),
        "timestamp": body.get("at"),
        "caller_spiffe_id": kept.get("caller"),
        "callee_spiffe_id": kept.get("callee"),
        "agent": body.get("agent"),
        "actor": actor.get("label") if isinstance(actor, dict) else "",
        "capability": kept.get("permission"),
        "action": body.get("action"),
        "decision": body.get("result"),
        "trace_id": kept.get("trace_id"),
    }
    return {name: str(value) for name, value in said.items() if value not in (None, "")}


def _head(severity: int, at: str, process: str, kind: str) -> str:
    host = urlsplit(settings.SITE_URL).hostname or "-"
    return f"<{AUDIT * 8 + severity}>1 {at} {host[:255]} warden {process} {_word(kind, 32)}"


def _structured(event: Sequenced, kind: str) -> str:
    said = fields(event) | {"kind": kind}
    parameters = "".join(f' {name}="{_escaped(value)}"' for name, value in said.items())
    return f"[warden@{settings.SYSLOG_ENTERPRISE_NUMBER}{parameters}]"


def _escaped(value: str) -> str:
    return SPECIAL.sub(r"\\\1", HIDDEN.sub(" ", value))


def _word(text: str, longest: int) -> str:
    """Visible ASCII without spaces, as the header wants it."""
    return re.sub(r"[^\x21-\x7e]", "_", text)[:longest] or "-"
