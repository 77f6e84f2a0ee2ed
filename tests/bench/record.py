"""What the proof of the record costs: the proof of one event, and the verification of an export."""

import hashlib
import json
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from agentwarden.verify import verify_export

from audit import note, proofs
from audit.canonical import canonical
from audit.ids import new_id
from audit.leaf import Actor, Entry, row, timestamp
from audit.log import Checkpoint, Leaf, Log, SigningKey, Tile
from audit.merkle import Tree
from tests.bench import world

EVENT = uuid.UUID(int=42)


def measure(results: dict[str, Any], *, quick: bool) -> None:
    """The figures of the record, into `results`."""
    results["record"] = {
        "proof_ms": _proof(300_000 if quick else 10_000_000),
        **_verification(50_000 if quick else 500_000),
    }
    for name, value in results["record"].items():
        print(f"  {name:24} {value:,.3g}")


def _proof(size: int) -> float:
    """Milliseconds for the proof of one event of `size`: the median of 21."""
    key = SigningKey.objects.create(public=bytes(32), at="2026-01-01T00:00:00Z")
    log = Log.objects.create(organization_id=new_id(), mode="live", origin=f"bench/{size}")
    tree = Tree()
    for first in range(0, size, 65_536):
        leaves = [hashlib.sha256(b"%d" % number).digest() for number in range(first, min(first + 65_536, size))]
        Tile.objects.bulk_create(
            [
                Tile(log=log, level=level, number=number, hashes=hashes)
                for (level, number), hashes in tree.append(leaves).items()
            ],
            update_conflicts=True,
            update_fields=["hashes"],
            unique_fields=["log", "level", "number"],
        )
    now = "2026-01-01T00:00:00Z"
    Leaf.objects.create(event_id=EVENT, log=log, index=size // 3, at=now)
    Checkpoint.objects.create(log=log, size=size, root=tree.root(), at=now, key=key, note="-")
    times = []
    for _ in range(21):
        began = time.perf_counter()
        if proofs.of_event(EVENT) is None:
            raise RuntimeError("no proof")
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _verification(size: int) -> dict[str, float]:
    """Events a second on one core, and how that compares with hashing the same bytes and nothing else."""
    private = note.Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    actor, organization_id = Actor("agent", str(EVENT), "support-bot"), uuid.UUID(int=1)
    with tempfile.TemporaryDirectory(prefix="warden-bench-") as name:
        folder = Path(name)
        (folder / "log").mkdir()
        tree, bodies, heads = Tree(), [], []
        now = Checkpoint.objects.latest("at").at
        with (folder / "log" / "events.jsonl").open("w") as out:
            for index in range(size):
                data = {
                    "reason": "Allowed",
                    "context": world.context(25.0) | {"n": index},
                    "trace": [["a.b", "no"]] * 8,
                }
                made = row(Entry("agent:check:allow", organization_id, "live", actor, data=data), now)
                bodies.append(made.body.encode())
                tree.append([made.leaf])
                leaf = made.leaf.hex()
                out.write(f'{{"index":{index},"leaf":"{leaf}","sequenced":"{leaf}","event":{made.body}}}\n')
                if (index + 1) % 2_000 == 0 or index + 1 == size:
                    text = note.sign(note.Head("bench/log", index + 1, tree.root()).text, "bench/log", private)
                    heads.append(json.dumps({"size": index + 1, "note": text}) + "\n")
        (folder / "log" / "checkpoints.jsonl").write_text("".join(heads))
        (folder / "log" / "receipts.jsonl").touch()
        said = {"public_key": note.encode(public), "at": timestamp(now), "certificate": ""}
        (folder / "keys.jsonl").write_text(canonical(said) + "\n")
        log = {"origin": "bench/log", "folder": "log", "first": 0, "size": size, "strays": []}
        (folder / "manifest.json").write_text(json.dumps({"format": "warden-export/1", "logs": [log]}))
        began = time.process_time()
        [found] = verify_export(folder, [public])
        took = time.process_time() - began
        if found["problem"]:
            raise RuntimeError(f"{found['problem']} at {found['index']}")
    began = time.process_time()
    for body in bodies:
        hashlib.sha256(body).digest()
    bare = time.process_time() - began
    return {"verified_per_second": size / took, "verification_to_sha256": took / bare}
