"""Proofs, from the tiles: that an event is in its log, and that a log only grew."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import OuterRef, Q, Subquery

from audit import merkle, note
from audit.log import Checkpoint, Leaf, Log, Tile
from audit.merkle import Place, Span
from audit.models import Event


@dataclass(frozen=True, slots=True)
class Proof:
    """That the event at `index` is in the tree that `checkpoint` signs (RFC 6962, 2.1.1)."""

    log: Log
    index: int
    checkpoint: Checkpoint
    hashes: list[bytes]

    @property
    def text(self) -> str:
        """As a file: c2sp.org/tlog-proof."""
        lines = ["c2sp.org/tlog-proof@v1", f"index {self.index}", *map(note.encode, self.hashes), ""]
        return "\n".join(lines) + "\n" + self.checkpoint.note


class Damaged(Exception):
    """The tiles do not hold what was signed."""


def tiles(log: Log, places: Iterable[Place]) -> dict[Place, bytes]:
    """Those of the tiles that there are."""
    wanted = Q()
    for level, number in places:
        wanted |= Q(level=level, number=number)
    if not wanted:
        return {}
    rows = Tile.objects.filter(wanted, log=log).values_list("level", "number", "hashes")
    return {(level, number): bytes(hashes) for level, number, hashes in rows}


def _hashes(log: Log, spans: list[Span]) -> list[bytes]:
    try:
        return merkle.hashes_of(spans, tiles(log, merkle.tiles_of(spans)))
    except ValueError as error:
        raise Damaged(str(error)) from error


def of_event(event_id: uuid.UUID, *, newest: bool = False) -> Proof | None:
    """The proof of an event, by the first checkpoint that covers it or by the newest; None until there is one.

    The caller has made sure that the event may be seen. Raises Damaged.
    """
    leaf = Leaf.objects.select_related("log").filter(event_id=event_id).first()
    if leaf is None:
        return None
    heads = leaf.log.checkpoints.select_related("key").filter(size__gt=leaf.index)
    checkpoint = heads.order_by("-size" if newest else "size").first()
    if checkpoint is None:
        return None
    spans = merkle.inclusion_spans(leaf.index, checkpoint.size)
    return Proof(leaf.log, leaf.index, checkpoint, _hashes(leaf.log, spans))


def consistency(log: Log, old: int, new: int) -> list[bytes]:
    """The hashes that show that the log at `new` begins with the log at `old` (2.1.2). Raises ValueError, Damaged."""
    return _hashes(log, merkle.consistency_spans(old, new))


def subtrees(log: Log, size: int) -> list[bytes]:
    """The perfect subtrees of the first `size` leaves, largest first: from them a verifier goes on. Raises Damaged."""
    spans, start = [], 0
    for bit in reversed(range(size.bit_length())):
        if size & 1 << bit:
            spans.append((start, start + (1 << bit)))
            start += 1 << bit
    return _hashes(log, spans)


def command(event: Event) -> str:
    """What checks the two files of an event, as its page and its proof give them, with the public keys."""
    name = event.event_id
    return f"warden-verify --proof {name}.tlog-proof --event {name}.json --public-key warden-keys.txt"


def mark(events: list[Event]) -> list[Event]:
    """The same events, each with `proved_at`: the size of the first checkpoint that covers it, or None."""
    covering = Checkpoint.objects.filter(log_id=OuterRef("log_id"), size__gt=OuterRef("index")).order_by("size")
    leaves = Leaf.objects.filter(event_id__in=[event.id for event in events])
    sizes = dict(leaves.values_list("event_id", Subquery(covering.values("size")[:1])))
    for event in events:
        event.proved_at = sizes.get(event.id)
    return events
