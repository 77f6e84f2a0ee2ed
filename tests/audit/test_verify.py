"""warden-verify over a large log: in constant memory, and it says how far it is."""

import json
import os
import pty
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from audit import note
from audit.merkle import Tree

ORIGIN = "warden.example.com/record/acme/live"
PRIVATE = note.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
SCRIPT = """
import resource, sys
from agentwarden.verify import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def an_export(folder: Path, size: int) -> Path:
    """The export of a log of `size` events, with a checkpoint for each thousand."""
    own = folder / "log"
    own.mkdir(parents=True)
    tree = Tree()
    with (own / "events.jsonl").open("wb") as events, (own / "checkpoints.jsonl").open("w") as checkpoints:
        for first in range(0, size, 1_000):
            leaves = []
            for index in range(first, min(first + 1_000, size)):
                body = b'{"action":"email.send","at":"2027-01-02T03:04:05.000000Z","data":{"n":%d}}' % index
                leaf = sha256(b"\0" + body)
                leaves.append(leaf.digest())
                said = leaf.hexdigest().encode()
                events.write(b'{"index":%d,"leaf":"%s","sequenced":"%s","event":%s}\n' % (index, said, said, body))
            tree.append(leaves)
            signed = note.sign(note.Head(ORIGIN, tree.size, tree.root()).text, ORIGIN, PRIVATE)
            checkpoints.write(json.dumps({"size": tree.size, "note": signed}) + "\n")
    (own / "receipts.jsonl").touch()
    (folder / "keys.jsonl").write_text(json.dumps({"public_key": note.encode(PUBLIC), "certificate": ""}) + "\n")
    log = {"origin": ORIGIN, "folder": "log", "first": 0, "size": size}
    (folder / "manifest.json").write_text(json.dumps({"format": "warden-export/1", "logs": [log]}))
    (folder / "key").write_text(note.encode(PUBLIC))
    return folder


def verified(folder: Path) -> tuple[str, int, str]:
    """What it says at a terminal, the kilobytes it took at most, and what it said meanwhile."""
    terminal, own = pty.openpty()
    words = [str(folder), "--public-key", str(folder / "key")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], stdout=subprocess.PIPE, stderr=own, text=True, check=True
    )
    os.close(own)
    said = b""
    try:
        while more := os.read(terminal, 65_536):
            said += more
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    os.close(terminal)
    line, kilobytes = done.stdout.splitlines()
    return line, int(kilobytes), said.decode()


def test_a_large_log_takes_no_more_memory_than_a_small_one_and_it_is_told_how_far_it_is(tmp_path: Path) -> None:
    line, little, _ = verified(an_export(tmp_path / "small", 2_000))
    assert line == f"holds  {ORIGIN}: 2000 events, 2 checkpoints, 0 receipts"
    line, much, said = verified(an_export(tmp_path / "large", 140_000))
    assert line == f"holds  {ORIGIN}: 140000 events, 140 checkpoints, 0 receipts"
    assert f"{ORIGIN}: 65,536 of 140,000 events, " in said
    assert f"{ORIGIN}: 131,072 of 140,000 events, " in said
    assert said.endswith("\r\n"), "what comes next has a line of its own"
    assert much - little < 4_096
