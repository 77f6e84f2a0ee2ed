"""Reads a log again, from its first event to its last checkpoint: what the page of the log tells of.

It trusts this database to be honest about itself; `warden-verify` over an export does not have to.
"""

from typing import NamedTuple

import structlog
from django.db import connection, transaction

from audit import bundle, merkle, note, proofs
from audit.clock import database_now
from audit.leaf import leaf_hash
from audit.log import Log, SigningKey, Verification
from audit.merkle import Tree

log = structlog.get_logger(__name__)


class Found(NamedTuple):
    problem: str = ""
    at: int | None = None


def verify_all() -> list[Verification]:
    """Verifies every log and keeps what came of each."""
    return [verify_log(each) for each in Log.objects.order_by("id")]


def verify_log(each: Log) -> Verification:
    """Recomputes every leaf that is kept and the root, and holds them against the last checkpoint."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        each.refresh_from_db(fields=["first"])
        head = each.checkpoints.order_by("-size").first()
        found = _verify(each, head.size, bytes(head.root), head.note) if head else Found("It has no checkpoint.")
    if found.problem:
        log.error("record.broken", origin=each.origin, problem=found.problem, index=found.at)
    return Verification.objects.create(
        log=each, at=database_now(), size=head.size if head else 0, index=found.at, problem=found.problem
    )


def _verify(each: Log, size: int, root: bytes, signed: str) -> Found:
    try:
        tree = Tree.read(each.first, proofs.tiles(each, merkle.edges(each.first)))
    except ValueError:
        return Found("The tree is damaged.")
    for rows in bundle.rows(connection.connection, each, each.first, size):
        leaves: list[bytes] = []
        for row in rows:
            at, hashes, leaf, body = row[:4]
            place = at % merkle.WIDTH * merkle.SIZE
            sequenced = bytes(hashes or b"")[place : place + merkle.SIZE]
            if at != tree.size + len(leaves):
                return Found("An event is missing.", tree.size + len(leaves))
            if body is None:
                return Found("An event is missing: it was deleted, or its time was changed.", at)
            if not leaf_hash(body) == bytes(leaf) == sequenced or not bundle.columns_agree(row):
                return Found("An event is not what was put in order.", at)
            leaves.append(sequenced)
        tree.append(leaves)
    if tree.size != size:
        return Found("The end is missing.", tree.size)
    if tree.root() != root:
        return Found("The tree is not the one that was signed.")
    if not any(_is_signed(signed, each, key) for key in SigningKey.objects.all()):
        return Found("The checkpoint is not signed by any key of this Warden.")
    if strays := bundle.strays(connection.connection, each, size):
        return Found(f"{strays[0]} is in the record, but was never put in order.")
    return Found()


def _is_signed(signed: str, each: Log, key: SigningKey) -> bool:
    try:
        note.verified(signed, each.origin, bytes(key.public))
    except ValueError:
        return False
    return True
