"""Whether a log is what was signed last, in the database and outside of it: asked at each start of the sequencer."""

from typing import Any

from audit import merkle, note
from audit.merkle import Place, Span, Tree
from audit.signing import Connection, Refused

WHAT_TO_DO = "Nothing is put in order until this is settled: see docs/record.md, When it refuses."


def read_tiles(connection: Connection, log_id: int, places: set[Place]) -> dict[Place, bytes]:
    """Those of the tiles that there are."""
    if not places:
        return {}
    levels, numbers = zip(*places, strict=True)
    rows = connection.execute(
        "SELECT level, number, hashes FROM audit_tile WHERE log_id = %s"
        " AND (level, number) IN (SELECT * FROM unnest(%s::smallint[], %s::bigint[]))",
        [log_id, list(levels), list(numbers)],
    )
    return {(level, number): bytes(hashes) for level, number, hashes in rows}


def check_log(connection: Connection, log_id: int, origin: str, *known: str) -> Tree:
    """The tree to go on with. Raises Refused where it is shorter than, or other than, what was signed, here or in the
    `known` notes from outside.
    """
    signed = _last(connection, log_id, origin)
    ends = connection.execute("SELECT coalesce(max(index), -1) + 1 FROM audit_leaf WHERE log_id = %s", [log_id])
    row = ends.fetchone()
    if row is None or row[0] != signed.size:
        raise Refused(f"{origin} has {row and row[0]} events in order, but {signed.size} were signed. {WHAT_TO_DO}")
    tree = _tree(connection, log_id, signed.size, origin)
    if tree.root() != signed.root:
        raise Refused(f"The tree of {origin} is not the one that was signed at {signed.size}. {WHAT_TO_DO}")
    for each in known:
        _compare(connection, log_id, origin, signed, each)
    return tree


def _tree(connection: Connection, log_id: int, size: int, origin: str) -> Tree:
    try:
        return Tree.read(size, read_tiles(connection, log_id, set(merkle.edges(size))))
    except ValueError as error:
        raise Refused(f"The tree of {origin} is damaged: {error}. {WHAT_TO_DO}") from error


def _last(connection: Connection, log_id: int, origin: str) -> note.Head:
    row = connection.execute(
        "SELECT note FROM audit_checkpoint WHERE log_id = %s ORDER BY size DESC LIMIT 1", [log_id]
    ).fetchone()
    if row is None:
        raise Refused(f"{origin} has no checkpoint. {WHAT_TO_DO}")
    return _head(connection, origin, row[0])


def _head(connection: Connection, origin: str, text: str) -> note.Head:
    """What a checkpoint says, if one of our keys signed it."""
    for (public,) in connection.execute("SELECT public FROM audit_signingkey ORDER BY id DESC").fetchall():
        try:
            head = note.read_head(note.verified(text, origin, bytes(public)))
        except ValueError:
            continue
        if head.origin == origin:
            return head
    raise Refused(f"A checkpoint of {origin} is not signed by any key of this Warden. {WHAT_TO_DO}")


def _compare(connection: Connection, log_id: int, origin: str, signed: note.Head, text: str) -> None:
    known = _head(connection, origin, text)
    if known.size > signed.size:
        raise Refused(
            f"{origin} is shorter than it was: {signed.size} events, and {known.size} were signed. "
            f"An older database was restored, or the end was cut. {WHAT_TO_DO}"
        )
    spans: list[Span] = [(0, known.size)]
    tiles: dict[Place, Any] = read_tiles(connection, log_id, merkle.tiles_of(spans))
    try:
        [root] = merkle.hashes_of(spans, tiles)
    except ValueError as error:
        raise Refused(f"The tree of {origin} is damaged: {error}. {WHAT_TO_DO}") from error
    if root != known.root:
        raise Refused(f"{origin} was forked: what was signed at {known.size} is not part of it. {WHAT_TO_DO}")
