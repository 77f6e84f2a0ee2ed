"""One log of an export: every leaf and root recomputed, in one pass, in constant memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from .._errors import ReceiptError
from .._receipts import read_receipt
from ._notes import Head, decode, open_note, read_head
from ._timestamps import Authority
from ._tree import Range, is_consistent

BACK = timedelta(hours=1)  # how far an event's time may lie before that of one sequenced earlier
HALF_A_YEAR = timedelta(days=180)  # less than that nobody lets anything go
RETENTION = b'"kind":"system:record:retention"'
CLAIM = b'"kind":"agent:approval:claim"'
AT = b',"at":"'  # in canonical JSON, the first such bytes are the event's own


class Failed(Exception):
    """What is wrong, and where: `index` is the first bad one, or None."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class Log:
    """Checks one folder of an export. `keys`: the chain; `trusted`: those that vouch; `known`: kept checkpoints.

    `authority`: of time-stamps; without one they are not looked at.
    """

    def __init__(
        self,
        folder: Path,
        said: dict[str, Any],
        keys: list[bytes],
        trusted: set[bytes],
        known: list[Head],
        authority: Authority | None = None,
    ) -> None:
        self.folder = folder
        self.origin = str(said["origin"])
        self.first, self.size = int(said["first"]), int(said["size"])
        self.kept_from = int(said.get("kept_from", 0))
        self.keys = keys
        self.trusted = trusted
        self.known = sorted({*known, *self._kept()}, key=lambda head: head.size)
        self.authority = authority
        self.checkpoints = self.receipts = self.timestamps = 0
        self.stamped: dict[str, Any] | None = None  # the newest: its size, and when
        self.range = Range()

    def _kept(self) -> Iterator[Head]:
        file = self.folder / "kept.note"
        if file.exists():
            yield self._head(file.read_text(encoding="utf-8"))[0]

    def _head(self, note: str) -> tuple[Head, int]:
        try:
            text, number = open_note(note, self.origin, self.keys)
            head = read_head(text)
        except ValueError as error:
            raise Failed(f"a checkpoint is not to be believed: {error}") from error
        if head.origin != self.origin:
            raise Failed("a checkpoint is of another log")
        return head, number

    def check(self, *, progress: bool = False) -> None:
        """Raises Failed at the first thing that is wrong. `progress`: says on standard error how far it is."""
        self._began = time.perf_counter() if progress else 0.0
        try:
            self._check()
        finally:
            if progress:
                print(file=sys.stderr)  # noqa: T201 - what comes next has a line of its own

    def _check(self) -> None:
        self.range = Range(self.first, self._start())
        heads = self._heads()
        awaited = next(heads, None)
        good = self.first
        self._check_before()
        known = [head for head in self.known if head.size > self.first]
        if known and known[-1].size > self.size:
            raise Failed(f"the log ends at {self.size}, but a checkpoint of {known[-1].size} was kept", self.size)
        receipts = self._receipts()
        receipt = next(receipts, None)
        ends = min([*(head.size for head in known), *([awaited.size] if awaited else [])], default=-1)
        if self.kept_from > self.first:
            raise Failed(
                f"it begins at {self.first}, but says that nothing before {self.kept_from} is kept", self.first
            )
        is_told = self.first == 0 or self.first > self.kept_from
        for index, event in self._events():
            if not is_told and RETENTION in event:
                is_told = _lets_go(event, self.first)
            if receipt and receipt[0] == index:
                _compare(receipt, event, self.origin)
                self.receipts += 1
                receipt = next(receipts, None)
            elif CLAIM in event and _has_receipt(event):
                raise Failed("the receipt of this claim is missing", index)
            if index + 1 == ends:
                root = self.range.root()
                for head in [*([awaited] if awaited else []), *known]:
                    if head.size == ends and head.root != root:
                        raise Failed(f"the checkpoint of {ends} does not hold: what is before it was changed", good)
                if awaited and awaited.size == ends:
                    awaited = next(heads, None)
                known = [head for head in known if head.size > ends]
                good = ends
                ends = min([*(head.size for head in known), *([awaited.size] if awaited else [])], default=-1)
        if self.range.size != self.size:
            raise Failed(f"the log ends at {self.range.size}, not at {self.size}", self.range.size)
        if good != self.size and self.size > self.first:
            raise Failed(f"nothing is signed from {good} on", good)
        if not is_told:
            raise Failed(f"what is before {self.first} is missing, and the record does not say that its time was over")
        if awaited or receipt:
            raise Failed(f"something is signed beyond the end at {self.size}", self.size)

    def _start(self) -> list[bytes]:
        if not self.first:
            return []
        try:
            return [decode(each) for each in json.loads((self.folder / "start.json").read_bytes())["subtrees"]]
        except (OSError, ValueError, KeyError) as error:
            raise Failed(f"start.json cannot be read: {error}") from error

    def _check_before(self) -> None:
        """Holds what was kept from before the beginning against it, by the proofs that the export has for that."""
        before = [head for head in self.known if head.size <= self.first]
        file = self.folder / "consistency.jsonl"
        root = self.range.root()
        proofs: dict[int, list[bytes]] = {}
        try:
            for said in _lines(file) if file.exists() else ():
                proofs[int(said["old"])] = [decode(each) for each in said["hashes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(f"consistency.jsonl cannot be read: {error}") from error
        for head in before:
            if head.size != self.first and head.size not in proofs:
                raise Failed(
                    f"a checkpoint of {head.size} was kept, and nothing shows that what begins at {self.first} goes on"
                    " from it: have it exported with --checkpoint"
                )
            if not is_consistent(head.size, self.first, head.root, root, proofs.get(head.size, [])):
                raise Failed(f"the checkpoint of {head.size} does not hold: what is before it was changed", 0)

    def _events(self) -> Iterator[tuple[int, bytes]]:
        """Each event's bytes, its leaf recomputed and added to the tree."""
        index, newest, add = self.first, b"", self.range.add
        with (self.folder / "events.jsonl").open("rb") as lines:
            for line in lines:
                head, found, event = line.partition(b',"event":')
                start = b'{"index":%d,"leaf":"' % index
                at = len(start)
                leaf, sequenced = head[at : at + 64], head[at + 79 : at + 143]
                if not found or not event.endswith(b"}\n") or not head.startswith(start):
                    self._explain(line, index)
                event = event[:-2]
                hashed = sha256(b"\x00" + event)
                recomputed = hashed.hexdigest().encode()
                if recomputed != leaf:
                    raise Failed("an event was changed: it is not what its leaf says", index)
                if recomputed != sequenced or head[at + 64 : at + 79] != b'","sequenced":"':
                    raise Failed("an event is not the one that was put in order here", index)
                if len(head) != at + 144:
                    raise Failed("the database's columns say something else than the event", index)
                place = event.find(AT) + 7
                moment = event[place : place + 27]
                if moment > newest:
                    newest = moment
                elif moment < newest:
                    _check_time(moment, newest, index)
                add(hashed.digest())
                yield index, event
                index += 1
                if self._began and not index & 0xFFFF:
                    self._tell(index - self.first)

    def _tell(self, done: int) -> None:
        rate = done / (time.perf_counter() - self._began)
        said = f"{self.origin}: {done:,} of {self.size - self.first:,} events, {rate:,.0f}/s"
        print(f"\r{said}", end="", file=sys.stderr, flush=True)  # noqa: T201

    def _explain(self, line: bytes, index: int) -> None:
        try:
            said = json.loads(line)
            if said["index"] != index:
                raise Failed(f"the event at {index} is missing: {said['index']} follows", index)
            if said["event"] is None:
                raise Failed("an event is missing: it was deleted, or its time was changed", index)
        except (ValueError, KeyError, TypeError):
            pass
        raise Failed("a line is not as exports write it: the event was changed", index)

    def _heads(self) -> Iterator[Head]:
        """The checkpoints after the beginning; the last is by a trusted key, and no older key signs after a newer."""
        newest, size, number = -1, self.first, -1
        stamps = self._stamps()
        stamp = next(stamps, None)
        for said in _lines(self.folder / "checkpoints.jsonl"):
            head, number = self._head(str(said["note"]))
            if head.size != said["size"] or head.size <= size or head.size > self.size:
                raise Failed(f"a checkpoint of {head.size} is where none can be", size)
            if number < newest:
                raise Failed(f"the checkpoint of {head.size} is signed by a key that was rotated before", size)
            newest, size = number, head.size
            self.checkpoints += 1
            if stamp and stamp[0] == head.size:
                self._check_stamp(stamp, str(said["note"]))
                stamp = next(stamps, None)
            yield head
        if stamp:
            raise Failed(f"a time-stamp of {stamp[0]} is of no checkpoint", stamp[0])
        if number >= 0 and self.keys[number] not in self.trusted:
            raise Failed("the last checkpoint is not signed by a key that you trust")

    def _stamps(self) -> Iterator[tuple[int, bytes]]:
        """Where there is an authority to hold them against: sizes and responses, in their order."""
        file = self.folder / "timestamps.jsonl"
        for said in _lines(file) if self.authority and file.exists() else ():
            try:
                yield int(said["size"]), decode(str(said["response"]))
            except (ValueError, KeyError) as error:
                raise Failed(f"a time-stamp cannot be read: {error}") from error

    def _check_stamp(self, stamp: tuple[int, bytes], note: str) -> None:
        assert self.authority
        try:
            at = self.authority.check(stamp[1], note.encode())
        except ValueError as error:
            raise Failed(f"the time-stamp of {stamp[0]} is not to be believed: {error}") from error
        self.timestamps += 1
        self.stamped = {"size": stamp[0], "at": at}

    def _receipts(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for said in _lines(self.folder / "receipts.jsonl"):
            try:
                yield int(said["index"]), read_receipt(str(said["receipt"]), self.keys)
            except ReceiptError as error:
                raise Failed(f"a receipt is not to be believed: {error}", said["index"]) from error


def _lets_go(event: bytes, first: int) -> bool:
    """Whether Warden recorded here that events before `first` go, each at least half a year old by then."""
    said = json.loads(event)
    if said["kind"] != "system:record:retention" or said["data"].get("first") != first:
        return False
    before, at = (datetime.fromisoformat(text[:10]) for text in (said["data"]["before"], said["at"]))
    return at - before > HALF_A_YEAR


def _has_receipt(event: bytes) -> bool:
    """Whether it is a claim that asks for a receipt, and not one that only speaks of such."""
    said = json.loads(event)
    return said["kind"] == "agent:approval:claim" and bool(said["data"].get("receipt"))


def _compare(receipt: tuple[int, dict[str, Any]], event: bytes, origin: str) -> None:
    index, claims = receipt
    said = json.loads(event)
    if claims != said["data"].get("receipt", {}) | {"iss": origin, "jti": said["id"], "index": index}:
        raise Failed("a receipt says something else than its event", index)


def _check_time(moment: bytes, newest: bytes, index: int) -> None:
    try:
        before, after = (datetime.fromisoformat(text.decode().replace("Z", "+00:00")) for text in (moment, newest))
    except ValueError:
        raise Failed("an event has no time", index) from None
    if after - before > BACK:
        raise Failed(f"an event of {moment.decode()} was added after one of {newest.decode()}", index)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError as error:
                raise Failed(f"{file.name} has a line that is not JSON") from error
            if not isinstance(value, dict):
                raise Failed(f"{file.name} has a line that is not an object")
            yield value
