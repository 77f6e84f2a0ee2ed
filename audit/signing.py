"""The key that signs checkpoints and receipts: made on the first start, kept in a file, rotated with a certificate.

Only the sequencer, and the command that rotates, read it. The database holds public halves.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from audit import note
from audit.leaf import timestamp

Connection = psycopg.Connection[Any]
FILE = "signing_key"


class Refused(Exception):
    """The sequencer does not go on. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key that signs now."""

    id: int
    private: Ed25519PrivateKey
    public: bytes


def site() -> str:
    """What names of logs and keys begin with: where Warden is, without the scheme."""
    return urlsplit(settings.SITE_URL).netloc


def key_file() -> Path:
    return Path(settings.WARDEN_HOME) / FILE


def read(text: str) -> Ed25519PrivateKey:
    """A private key as it is kept: its 32 bytes in base64. Raises Refused."""
    try:
        return Ed25519PrivateKey.from_private_bytes(note.decode(text.strip()))
    except ValueError:
        raise Refused("The signing key is not 32 bytes in base64. Make one with: openssl rand -base64 32") from None


def open_key(connection: Connection) -> Key:
    """The key that signs, made when there has never been one. Raises Refused."""
    newest = connection.execute("SELECT id, public FROM audit_signingkey ORDER BY id DESC LIMIT 1").fetchone()
    private = configured() or (None if newest else _made(key_file()))
    if private is None:
        raise Refused(
            f"There is no signing key: {key_file()} is missing. Put it back from a backup; if it is lost, "
            "start a new chain of keys with: rotate_signing_key --lost"
        )
    public = private.public_key().public_bytes_raw()
    if newest is None:
        return Key(_insert(connection, public, None), private, public)
    if bytes(newest[1]) == public:
        return Key(newest[0], private, public)
    if (next_key := _next_file()).exists():  # a rotation was interrupted
        private = read(next_key.read_text())
        public = private.public_key().public_bytes_raw()
        if bytes(newest[1]) == public:
            next_key.replace(key_file())
            return Key(newest[0], private, public)
    if settings.AUDIT_SIGNING_KEY and settings.AUDIT_SIGNING_KEY_OLD:
        old = read(settings.AUDIT_SIGNING_KEY_OLD)
        if old.public_key().public_bytes_raw() == bytes(newest[1]):
            return Key(rotate(connection, old, private), private, public)
    raise Refused(
        "The signing key is not the one that signed last. Put that one back, or rotate as docs/record.md says."
    )


def configured() -> Ed25519PrivateKey | None:
    """The private key of the environment or of the file; None where there is none. Raises Refused."""
    if settings.AUDIT_SIGNING_KEY:
        return read(settings.AUDIT_SIGNING_KEY)
    file = key_file()
    return read(file.read_text()) if file.exists() else None


def _made(file: Path) -> Ed25519PrivateKey:
    """A new key in `file`, readable by its user alone; on the disk before it signs anything."""
    private = Ed25519PrivateKey.generate()
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(note.encode(private.private_bytes_raw()) + "\n")
        out.flush()
        os.fsync(out.fileno())
    return private


def rotate_file(connection: Connection, *, lost: bool) -> None:
    """Makes a new key, has the old one sign it (unless it is lost), and puts it into the file. Raises Refused."""
    if settings.AUDIT_SIGNING_KEY:
        raise Refused(
            "The key is set in the environment: set AUDIT_SIGNING_KEY_OLD to it, AUDIT_SIGNING_KEY to another."
        )
    old = None if lost else open_key(connection).private
    private = _made(_next_file())
    rotate(connection, old, private)
    _next_file().replace(key_file())


def _next_file() -> Path:
    return key_file().with_name(f"{FILE}.next")


def certificate(old: Ed25519PrivateKey, new: bytes, at: datetime) -> str:
    """The old key's word for the new one."""
    name = f"{site()}/keys"
    before = old.public_key().public_bytes_raw()
    text = f"{name}\nrotation {timestamp(at)}\nold {note.encode(before)}\nnew {note.encode(new)}\n"
    return note.sign(text, name, old)


def rotate(connection: Connection, old: Ed25519PrivateKey | None, new: Ed25519PrivateKey) -> int:
    """Makes `new` the key that signs from now on, in one transaction with its certificate (none where old is lost)."""
    public = new.public_key().public_bytes_raw()
    with connection.transaction():
        connection.execute("SELECT 1 FROM audit_sequencer FOR UPDATE")  # nothing is signed meanwhile
        return _insert(connection, public, old)


def _insert(connection: Connection, public: bytes, old: Ed25519PrivateKey | None) -> int:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    signed = certificate(old, public, row[0]) if old else ""
    made = connection.execute(
        "INSERT INTO audit_signingkey (public, at, certificate) VALUES (%s, %s, %s) RETURNING id",
        [public, row[0], signed],
    ).fetchone()
    assert made is not None
    number: int = made[0]
    return number
