"""What the commands about streams share: finding one, its certificates as files, and showing it as JSON."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.models import Organization
from audit.clock import database_now
from audit.ids import read_id, show_id
from audit.sequenced import log_name
from notifications.models import Stream
from notifications.models.stream import FORMATS
from notifications.streams import lag

PEMS = ("authority", "certificate", "key")


def add_fields(parser: ArgumentParser) -> None:
    """What may be set of a stream; None where it was not given."""
    parser.add_argument("--format", choices=list(dict(FORMATS)))
    parser.add_argument("--authority", metavar="FILE", help="PEM: who vouches for the receiver (TLS)")
    parser.add_argument("--certificate", metavar="FILE", help="PEM: the client certificate, with its chain")
    parser.add_argument("--key", metavar="FILE", help="PEM: its key, without a password")


def fields(options: dict[str, Any], *more: str) -> dict[str, Any]:
    """Those that were given, certificates as they stand in their files. Raises CommandError."""
    given = {name: options[name] for name in ("format", *PEMS, *more) if options[name] is not None}
    return given | {name: _read(given[name]) for name in PEMS if name in given}


def _read(name: str) -> str:
    """The content of a file; nothing for an empty name. Raises CommandError."""
    try:
        return Path(name).read_text() if name else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} cannot be read: {error}") from error


def find_stream(organization: Organization, text: str) -> Stream:
    """By str_… or, where only one is called so, by name. Raises CommandError."""
    rows = Stream.objects.filter(organization=organization).select_related("organization")
    number = read_id("str", text)
    found = list(rows.filter(pk=number) if number else rows.filter(name=text))
    if len(found) != 1:
        raise CommandError(
            f"There is no stream {text}." if not found else f"Live and test have a stream {text}: say its identifier."
        )
    return found[0]


def stream_data(stream: Stream) -> dict[str, Any]:
    """A stream for a script, without its secret."""
    return {
        "id": show_id("str", stream.pk),
        "name": stream.name,
        "mode": stream.mode,
        "kind": stream.kind,
        "address": stream.address,
        "format": stream.format,
        "payloads": stream.payloads,
        "is_paused": stream.paused_at is not None,
        "error": stream.error,
        "failing_since": stream.failing_since.isoformat() if stream.failing_since else None,
        "positions": [
            {
                "log": log_name(each.position.scope),
                "next_index": each.position.next_index,
                "size": each.size,
                "behind": each.behind,
                "lag_seconds": round(each.lag, 3),
            }
            for each in lag.standings(stream, database_now())
        ],
    }


def stream_words(data: dict[str, Any]) -> str:
    """The same in one line."""
    state = "paused" if data["is_paused"] else f"failing: {data['error']}" if data["error"] else "streaming"
    where = ", ".join(f"{each['log']} {each['next_index']}/{each['size']}" for each in data["positions"])
    return f"{data['id']}  {data['mode']}  {data['kind']}  {data['name']} to {data['address']}, {where}: {state}"
