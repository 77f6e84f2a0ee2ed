"""The Merkle tree of RFC 6962 (section 2.1), kept as tiles of 256 hashes as C2SP's tlog-tiles has them. Pure.

A tile of level 0 holds 256 leaf hashes; one of level 1 holds the roots of 256 tiles of level 0; and so on. Only the
last tile of a level is ever partial, and a tile only grows.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

HEIGHT = 8  # levels of the tree in one level of tiles
WIDTH = 1 << HEIGHT
SIZE = 32  # bytes of a hash
EMPTY = hashlib.sha256(b"").digest()

type Place = tuple[int, int]  # level and number, of a tile or of a node


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect(hashes: list[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + SIZE] for at in range(0, len(tile), SIZE)]


@dataclass(slots=True)
class Tree:
    """The right edge of a tree: its size and the partial tile of each level. Enough to append and to tell the root."""

    size: int = 0
    edge: list[list[bytes]] = field(default_factory=list)

    @classmethod
    def read(cls, size: int, tiles: Mapping[Place, bytes]) -> "Tree":
        """The tree of `size` leaves, from the tiles at `edges(size)`, which may have grown since.

        Raises ValueError where a tile is missing or too short.
        """
        tree = cls(size)
        for level, number in edges(size):
            count = (size >> HEIGHT * level) % WIDTH
            hashes = split(tiles.get((level, number), b""))[:count] if count else []
            if len(hashes) != count or any(len(each) != SIZE for each in hashes):
                raise ValueError(f"tile {level}/{number} is too short")
            tree.edge.append(hashes)
        return tree

    def append(self, leaves: Iterable[bytes]) -> dict[Place, bytes]:
        """Adds leaf hashes in order; returns the tiles that are new or have grown."""
        changed: dict[Place, bytes] = {}
        added = new = list(leaves)
        level = 0
        while new:
            if level == len(self.edge):
                self.edge.append([])
            hashes = self.edge[level]
            number = self.size >> HEIGHT * (level + 1)
            roots = []
            for each in new:
                hashes.append(each)
                if len(hashes) == WIDTH:
                    changed[level, number] = b"".join(hashes)
                    roots.append(perfect(hashes))
                    hashes.clear()
                    number += 1
            if hashes:
                changed[level, number] = b"".join(hashes)
            new = roots
            level += 1
        self.size += len(added)
        return changed

    def root(self) -> bytes:
        """MTH over all leaves."""
        subtrees = []
        for hashes in reversed(self.edge):
            start = 0
            for bit in reversed(range(HEIGHT)):
                if len(hashes) & 1 << bit:
                    subtrees.append(perfect(hashes[start : start + (1 << bit)]))
                    start += 1 << bit
        return fold(subtrees)


def fold(subtrees: list[bytes]) -> bytes:
    """The root over perfect subtrees of falling size."""
    if not subtrees:
        return EMPTY
    *left, root = subtrees
    for each in reversed(left):
        root = node_hash(each, root)
    return root


def edges(size: int) -> list[Place]:
    """Where the last tile of each level is, the partial ones and the empty ones to come."""
    return [(level, size >> HEIGHT * (level + 1)) for level in range((max(size.bit_length(), 1) - 1) // HEIGHT + 1)]


def place(level: int, number: int) -> tuple[Place, int, int]:
    """The tile that a node is made from, and which of its hashes: from the first, to before the last."""
    up, inner = divmod(level, HEIGHT)
    first = number << inner
    return (up, first >> HEIGHT), first % WIDTH, first % WIDTH + (1 << inner)


def _spans_up(start: int, end: int) -> Iterator[Place]:
    """The perfect subtrees that [start, end) consists of, largest first."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _middle(start: int, end: int) -> int:
    """Where RFC 6962 parts [start, end): after the largest power of two below its length."""
    return start + (1 << (end - start - 1).bit_length() - 1)


type Span = tuple[int, int]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Which subtrees' hashes prove leaf `index` in a tree of `size` (section 2.1.1), the leaf's sibling first."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    spans, start, end = [], 0, size
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Which subtrees' hashes prove that a tree of `new` leaves begins with one of `old` (section 2.1.2)."""
    if not 0 < old <= new:
        raise ValueError("no such trees")
    spans, start, end, known = [], 0, new, True
    while old < end:
        middle = _middle(start, end)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start, known = middle, False
    return [*([] if known else [(start, end)]), *spans[::-1]]


def tiles_of(spans: Iterable[Span]) -> set[Place]:
    """The tiles that the hashes of `spans` are made from."""
    return {place(*node)[0] for span in spans for node in _spans_up(*span)}


def hashes_of(spans: Iterable[Span], tiles: Mapping[Place, bytes]) -> list[bytes]:
    """The hash over each span. Raises ValueError where a tile is missing or too short."""

    def node(level: int, number: int) -> bytes:
        where, first, last = place(level, number)
        hashes = tiles.get(where, b"")[first * SIZE : last * SIZE]
        if len(hashes) != (last - first) * SIZE:
            raise ValueError(f"tile {where[0]}/{where[1]} is too short")
        return perfect(split(hashes))

    return [fold([node(*each) for each in _spans_up(*span)]) for span in spans]
