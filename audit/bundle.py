"""An export that can be checked offline: events in their order with their leaves, checkpoints, keys, receipts.

docs/record.md describes the files; `warden-verify` of the client package reads them.
"""

import contextlib
import json
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection as django
from django.db import transaction

from audit import kept, merkle, note, ocsf, proofs
from audit.canonical import canonical
from audit.ids import show_id
from audit.leaf import VERSION, timestamp
from audit.log import Checkpoint, Log, SigningKey
from audit.sequenced import log_name, of_rows

FORMAT = "warden-export/1"
ROWS = """
SELECT l.index, t.hashes, e.leaf, e.body, e.id, e.at, e.organization_id, e.mode, e.kind, e.result,
       e.actor_type, e.actor_id, e.actor, e.agent, e.action, e.target
FROM audit_leaf l
LEFT JOIN audit_event e ON e.id = l.event_id AND e.at = l.at
LEFT JOIN audit_tile t ON t.log_id = l.log_id AND t.level = 0 AND t.number = l.index / 256
WHERE l.log_id = %s AND l.index >= %s AND l.index < %s ORDER BY l.index
"""
# What is in the record and not below the last checkpoint, though the sequencer has been past it, or though no
# transaction can have written it.
STRAYS = """
(SELECT e.id FROM audit_event e WHERE e.organization_id = %(organization)s AND e.mode = %(mode)s
    AND (e.written < (SELECT xid::text::xid8 FROM audit_sequencer)
        OR e.written >= pg_snapshot_xmax(pg_current_snapshot()))
    AND NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.event_id = e.id) LIMIT 100)
UNION ALL (SELECT event_id FROM audit_leaf WHERE log_id = %(log)s AND index >= %(size)s LIMIT 100)
"""


@transaction.atomic
def write(
    folder: Path, logs: list[Log], *, since: datetime | None = None, known: Collection[note.Head] = ()
) -> dict[str, Any]:
    """Writes `logs` as of one moment into `folder`, from the first event at or after `since`. Returns the manifest.

    `known`: checkpoints that somebody kept; of those from before that, it is shown that the log goes on from them.
    Raises proofs.Damaged.
    """
    outside = {log.pk: kept.read(log.organization_id, log.mode) for log in logs}  # before that moment: never beyond it
    with django.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    connection: psycopg.Connection[Any] = django.connection
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "keys.jsonl").open("w") as out:
        for key in SigningKey.objects.all():
            said = {
                "public_key": note.encode(bytes(key.public)),
                "at": timestamp(key.at),
                "certificate": key.certificate,
            }
            out.write(json.dumps(said) + "\n")
    found = []
    for log in logs:
        own = [head for head in known if head.origin == log.origin]
        found.append(_log(folder, log, connection, since, outside[log.pk], own))
    manifest = {"format": FORMAT, "logs": found}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def _log(
    folder: Path,
    log: Log,
    connection: psycopg.Connection[Any],
    since: datetime | None,
    outside: str,
    known: list[note.Head],
) -> dict[str, Any]:
    name = f"{log.organization_id}.{log.mode or 'organization'}"
    own = folder / name
    own.mkdir(exist_ok=True)
    log.refresh_from_db(fields=["first"])
    newest = log.checkpoints.order_by("-size").first()
    size = newest.size if newest else 0
    first = max(log.first, _first(log, since, size) if since else 0)
    if first:
        hashes = [note.encode(each) for each in proofs.subtrees(log, first)]
        (own / "start.json").write_text(json.dumps({"subtrees": hashes}))
    with (own / "events.jsonl").open("wb") as out:
        for some in rows(connection, log, first, size):
            out.write("".join(map(_line, some)).encode())
    with (own / "checkpoints.jsonl").open("w") as text:
        for head in Checkpoint.objects.filter(log=log, size__gt=first).order_by("size").iterator():
            text.write(json.dumps({"size": head.size, "note": head.note}, ensure_ascii=False) + "\n")
    with (own / "receipts.jsonl").open("w") as text:
        for index, token in _receipts(connection, log, first):
            text.write(json.dumps({"index": index, "receipt": token}) + "\n")
    if outside:
        (own / "kept.note").write_text(outside)
        with contextlib.suppress(ValueError):  # warden-verify says what is wrong with it
            known = [*known, note.head_of(outside)]
    with (own / "consistency.jsonl").open("w") as text:
        for old in sorted({head.size for head in known if 0 < head.size < first}):
            hashes = [note.encode(each) for each in proofs.consistency(log, old, first)]
            text.write(json.dumps({"old": old, "new": first, "hashes": hashes}) + "\n")
    return _manifest(log, first, size) | {"folder": name, "strays": strays(connection, log, size)}


@transaction.atomic
def write_ocsf(folder: Path, logs: list[Log], *, since: datetime | None = None, payloads: bool) -> dict[str, Any]:
    """Writes `logs` as OCSF events, a file of JSON Lines for each, as of one moment. Returns the manifest.

    They name index and leaf of each event, and prove nothing: that takes what write() writes.
    """
    with django.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    connection: psycopg.Connection[Any] = django.connection
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = []
    for log in logs:
        newest = log.checkpoints.order_by("-size").first()
        size = newest.size if newest else 0
        first = _first(log, since, size) if since else 0
        name = f"{log.organization_id}.{log_name(log.mode)}.ocsf.jsonl"
        with (folder / name).open("w") as out:
            for some in rows(connection, log, first, size):
                events = of_rows(log, ((row[0], row[2], row[3]) for row in some))
                out.write("".join(ocsf.line(event, payloads=payloads) for event in events))
        said.append(_manifest(log, first, size) | {"file": name})
    manifest = {"format": f"ocsf/{ocsf.VERSION}", "logs": said}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def _manifest(log: Log, first: int, size: int) -> dict[str, Any]:
    return {
        "origin": log.origin,
        "organization": str(log.organization_id),
        "mode": log.mode,
        "first": first,
        "kept_from": log.first,
        "size": size,
    }


def _first(log: Log, since: datetime, size: int) -> int:
    """The first index whose event is of `since` or later."""
    leaf = log.leaves.filter(at__gte=since).order_by("index").first()
    return min(leaf.index, size) if leaf else size


def rows(connection: psycopg.Connection[Any], log: Log, first: int, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Events from index `first` to before `size`, as ROWS gives them, some at a time."""
    with connection.cursor(f"export_{uuid.uuid4().hex}", binary=True) as cursor:
        cursor.itersize = 2_000
        cursor.execute(ROWS, [log.pk, first, size])
        while found := cursor.fetchmany(2_000):
            yield found


def strays(connection: psycopg.Connection[Any], log: Log, size: int) -> list[str]:
    """Events, as evt_…, that are in the record and in no log: nobody will ever put them in order."""
    values = {"organization": log.organization_id, "mode": log.mode, "log": log.pk, "size": size}
    return [show_id("evt", row[0]) for row in connection.execute(STRAYS, values)]


def columns_agree(row: tuple[Any, ...]) -> bool:
    """Whether the columns of a row say what its body says."""
    columns, body = _columns(row[4:]), row[3]
    parting = columns.index(',"at":"') + 35  # in canonical JSON, `data` follows the time
    return bool(body.startswith(columns[:parting] + ',"data":') and body.endswith(columns[parting:]))


def _line(row: tuple[Any, ...]) -> str:
    index, hashes, leaf, body = row[:4]
    at = index % merkle.WIDTH * merkle.SIZE
    sequenced = bytes(hashes or b"")[at : at + merkle.SIZE].hex()
    if body is None:
        return f'{{"index":{index},"leaf":"","sequenced":"{sequenced}","event":null}}\n'
    said = "" if columns_agree(row) else f',"row":{_columns(row[4:])}'
    return f'{{"index":{index},"leaf":"{bytes(leaf).hex()}","sequenced":"{sequenced}"{said},"event":{body}}}\n'


def _columns(row: tuple[Any, ...]) -> str:
    """What the columns say, as the body would: all of it but `data`."""
    number, at, organization_id, mode, kind, result, actor_type, actor_id, actor, agent, action, target = row
    return canonical(
        {
            "v": VERSION,
            "id": show_id("evt", number),
            "at": timestamp(at),
            "organization": str(organization_id),
            "mode": mode,
            "kind": kind,
            "result": result,
            "actor": {"type": actor_type, "id": actor_id, "label": actor},
            "agent": agent,
            "action": action,
            "target": target,
        }
    )


def _receipts(connection: psycopg.Connection[Any], log: Log, first: int) -> Iterator[tuple[int, str]]:
    with connection.cursor(f"receipts_{uuid.uuid4().hex}") as cursor:
        cursor.execute(
            "SELECT l.index, r.token FROM audit_receipt r JOIN audit_leaf l ON l.event_id = r.event_id"
            " WHERE l.log_id = %s AND l.index >= %s ORDER BY l.index",
            [log.pk, first],
        )
        yield from cursor
