"""The archive that an OPA fetches (its "Bundle File Format"): the same bytes for the same policy: an ETag holds."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
RULES = {f"{package}/{name}.rego": (HERE / f"{name}.rego").read_bytes()
         for package, name in (("agentweave", "authz"), ("warden", "decision"))}  # fmt: skip


class Bundle(NamedTuple):
    """`etag` is quoted, as HTTP has it."""

    content: bytes
    etag: str


def make_bundle(data: dict[str, Any]) -> Bundle:
    """`bundle_data` and the rules, as a tar.gz."""
    manifest = {"revision": data["version"], "roots": ["agentweave", "warden"], "rego_version": 1}
    files = {
        "/.manifest": _json(manifest),
        "/data.json": _json({"warden": {"policy": data}}),
        **{f"/{name}": rules for name, rules in RULES.items()},
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    content = gzip.compress(packed.getvalue(), 6, mtime=0)
    return Bundle(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
