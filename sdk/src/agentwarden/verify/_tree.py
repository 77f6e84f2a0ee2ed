"""The Merkle tree of RFC 6962 and the verification of its proofs, as RFC 9162 (2.1.3.2, 2.1.4.2) has it. Pure."""

from __future__ import annotations

from hashlib import sha256

EMPTY = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Range:
    """All leaves so far, as the roots of perfect subtrees: constant memory, however many they are."""

    def __init__(self, size: int = 0, subtrees: list[bytes] | None = None) -> None:
        self.size = size
        self.subtrees = subtrees or []
        if len(self.subtrees) != size.bit_count():
            raise ValueError("these are not the subtrees of a tree of this size")

    def add(self, leaf: bytes) -> None:
        subtrees, size = self.subtrees, self.size
        while size & 1:
            leaf = sha256(b"\x01" + subtrees.pop() + leaf).digest()
            size >>= 1
        subtrees.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.subtrees:
            return EMPTY
        *left, root = self.subtrees
        for each in reversed(left):
            root = node_hash(each, root)
        return root


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root that `proof` leads to from this leaf. Raises ValueError for a proof that fits no such tree."""
    if not 0 <= index < size:
        raise ValueError("there is no such leaf in a tree of this size")
    node, last = index, size - 1
    root = leaf
    for sibling in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise ValueError("the proof is too short")
    return root


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """Whether `proof` shows that the tree of `new` leaves begins with that of `old`."""
    if old == new:
        return old_root == new_root and not proof
    if not 0 < old < new:
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        node >>= 1
        last >>= 1
    return first == old_root and second == new_root and last == 0
