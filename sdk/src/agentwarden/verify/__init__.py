"""warden-verify: checks an export of Warden's record, or the proof of one event, with nothing but the public key.

    warden-verify DIR --public-key FILE [--checkpoint FILE …] [--timestamp-ca FILE] [--json]
    warden-verify --proof EVENT.tlog-proof --event EVENT.json --public-key FILE

Exit code 0: everything holds. 1: something does not; the first bad index is named. 2: it could not be checked.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ._log import Failed, Log
from ._notes import Head, decode, open_note, read_head, read_keys
from ._timestamps import Authority
from ._tree import is_consistent, leaf_hash, root_of_inclusion

__all__ = ["Failed", "is_consistent", "leaf_hash", "main", "root_of_inclusion", "verify_export", "verify_proof"]
FORMAT = "warden-export/1"


def verify_export(
    folder: Path,
    trusted: list[bytes],
    known: list[str] | None = None,
    *,
    authority: Authority | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """What was found of each log: `problem` is None, or what is wrong; `index` is the first bad one, if there is one.

    `known`: checkpoints (signed notes) that you kept; each must hold still. `authority`: time-stamps are held against
    it. Raises ValueError or OSError for what is no export.
    """
    manifest = json.loads((folder / "manifest.json").read_bytes())
    if manifest.get("format") != FORMAT:
        raise ValueError(f"this is no export that this version reads ({FORMAT})")
    keys, vouched, problem = _chain(folder / "keys.jsonl", trusted)
    heads = [_known(note, keys) for note in known or []]
    origins = {said["origin"] for said in manifest["logs"]}
    found = [
        {"origin": head.origin, "problem": "a checkpoint was kept of it, but it is not here", "index": 0}
        for head in heads
        if head.origin not in origins
    ]
    if problem:
        found.append({"origin": "keys", "problem": problem, "index": None})
    for said in manifest["logs"]:
        result: dict[str, Any] = {"origin": said["origin"], "problem": None, "index": None}
        try:
            own = [head for head in heads if head.origin == said["origin"]]
            log = Log(folder / said["folder"], said, keys, vouched, own, authority)
            log.check(progress=progress)
            for stray in said.get("strays", []):
                raise Failed(f"{stray} is in the record, but was never put in order")
            result |= {"first": log.first, "kept_from": log.kept_from, "size": log.size, "root": log.range.root().hex()}
            result |= {"checkpoints": log.checkpoints, "receipts": log.receipts}
            if authority:
                result |= {"timestamps": log.timestamps, "stamped": log.stamped}
        except Failed as error:
            result |= {"problem": str(error), "index": error.index}
        except OSError as error:
            result |= {"problem": f"{error.filename} cannot be read: {error.strerror}"}
        found.append(result)
    return found


def _chain(file: Path, trusted: list[bytes]) -> tuple[list[bytes], set[bytes], str | None]:
    """All keys in their order, those that a trusted one vouches for, and what is wrong with the chain."""
    keys: list[bytes] = []
    vouched = set(trusted)
    for line in file.read_bytes().splitlines():
        said = json.loads(line)
        public = decode(said["public_key"])
        if keys and said["certificate"]:
            try:
                text, _ = open_note(said["certificate"], None, [keys[-1]])
            except ValueError as error:
                return keys, vouched, f"the certificate of key {len(keys) + 1} is not to be believed: {error}"
            if f"new {said['public_key']}" not in text.split("\n"):
                return keys, vouched, f"the certificate of key {len(keys) + 1} is for another key"
            if keys[-1] in vouched:
                vouched.add(public)
        keys.append(public)
    return keys, vouched, None


def _known(note: str, keys: list[bytes]) -> Head:
    text, _ = open_note(note, None, keys)
    return read_head(text)


def verify_proof(proof: str, event: bytes, trusted: list[bytes]) -> tuple[int, Head]:
    """The index of the event and the checkpoint that covers it (c2sp.org/tlog-proof). Raises ValueError."""
    head, _, checkpoint = proof.partition("\n\n")
    first, *lines = head.split("\n")
    if first != "c2sp.org/tlog-proof@v1" or not lines:
        raise ValueError("this is no proof")
    if lines[0].startswith("extra "):
        lines = lines[1:]
    word, _, number = lines[0].partition(" ") if lines else ("", "", "")
    if word != "index" or not number.isascii() or not number.isdigit() or str(int(number)) != number:
        raise ValueError("this proof has no index")
    signed = read_head(checkpoint.partition("\n\n")[0] + "\n")
    text, _ = open_note(checkpoint, signed.origin, trusted)
    signed = read_head(text)
    root = root_of_inclusion(leaf_hash(event), int(number), signed.size, [decode(line) for line in lines[1:]])
    if root != signed.root:
        raise ValueError("this event is not in that log")
    return int(number), signed


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="warden-verify", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="an export: manage.py export_audit --output DIR"
    )
    parser.add_argument(
        "--public-key", type=Path, required=True, metavar="FILE", help="public keys that you trust, one a line"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="FILE", help="a checkpoint that you kept"
    )
    parser.add_argument(
        "--timestamp-ca",
        type=Path,
        metavar="FILE",
        help="PEM: who vouches for the authority whose time-stamps are there",
    )
    parser.add_argument("--proof", type=Path, metavar="FILE", help="the proof of one event")
    parser.add_argument("--event", type=Path, metavar="FILE", help="the event's JSON, byte for byte")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    given = parser.parse_args(words)
    if (given.folder is None) == (given.proof is None) or (given.proof is None) != (given.event is None):
        parser.error("give DIR, or --proof and --event")
    try:
        trusted = read_keys(given.public_key.read_text(encoding="utf-8"))
        if given.proof:
            found = _one(given.proof.read_text(encoding="utf-8"), given.event.read_bytes(), trusted)
        else:
            known = [file.read_text(encoding="utf-8") for file in given.checkpoint]
            authority = Authority(given.timestamp_ca) if given.timestamp_ca else None
            progress = sys.stderr.isatty() and not given.json
            found = verify_export(given.folder, trusted, known, authority=authority, progress=progress)
    except ImportError:
        extra = "timestamps" if given.timestamp_ca else "receipts"
        print(f'This needs more: pip install "agentwarden-client[{extra}]"', file=sys.stderr)  # noqa: T201
        return 2
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"This could not be checked: {error}", file=sys.stderr)  # noqa: T201
        return 2
    holds = all(each["problem"] is None for each in found)
    if given.json:
        print(json.dumps({"holds": holds, "logs": found}))  # noqa: T201
    else:
        for each in found:
            print(_line(each))  # noqa: T201
    return 0 if holds else 1


def _one(proof: str, event: bytes, trusted: list[bytes]) -> list[dict[str, Any]]:
    try:
        index, head = verify_proof(proof, event, trusted)
    except ValueError as error:
        return [{"origin": "proof", "problem": str(error), "index": None}]
    return [{"origin": head.origin, "problem": None, "index": index, "size": head.size}]


def _line(found: dict[str, Any]) -> str:
    if found["problem"]:
        at = "" if found["index"] is None else f" at index {found['index']}"
        return f"FAILS  {found['origin']}{at}: {found['problem']}"
    if "checkpoints" not in found:
        return f"holds  {found['origin']}: the event is at index {found['index']}, by the checkpoint of {found['size']}"
    dropped = f"; before {found['kept_from']} its time was over, and the record says so" if found["kept_from"] else ""
    of = f"{found['first']} to {found['size']}" if found["first"] else f"{found['size']}"
    counted = f"{of} events, {found['checkpoints']} checkpoints, {found['receipts']} receipts"
    if stamped := found.get("stamped"):
        counted += f", {found['timestamps']} time-stamps, the last of {stamped['size']} at {stamped['at']}"
    return f"holds  {found['origin']}: {counted}{dropped}"
