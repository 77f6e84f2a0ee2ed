"""C2SP signed notes and checkpoints, read strictly, and the keys that may have signed them."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import NamedTuple

from .._errors import ReceiptError
from .._receipts import read_key

DASH = "— "


class Head(NamedTuple):
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes


def decode(text: str) -> bytes:
    """Canonical base64. Raises ValueError."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("this is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ValueError("this is not canonical base64")
    return data


def key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def is_signature(public: bytes, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_note(note: str, name: str | None, keys: list[bytes]) -> tuple[str, int]:
    """The text of a note, and which of `keys` signed it (under `name`, unless that is None). Raises ValueError."""
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", note):
        raise ValueError("this is no signed note")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        signer, space, encoded = line.removeprefix(DASH).rpartition(" ")
        if not line.startswith(DASH) or not space or not signer:
            raise ValueError("this is no signed note")
        data = decode(encoded)
        for number, public in enumerate(keys):
            if (name is None or signer == name) and data[:4] == key_id(signer, public):
                if not is_signature(public, data[4:], text.encode()):
                    raise ValueError("the signature is wrong")
                return text, number
    raise ValueError("no known key signed it")


def read_head(text: str) -> Head:
    """What the text of a checkpoint says. Raises ValueError."""
    origin, *rest = text.split("\n")
    if not origin or len(rest) < 3 or not re.fullmatch(r"0|[1-9][0-9]{0,18}", rest[0]):
        raise ValueError("this is no checkpoint")
    root = decode(rest[1])
    if len(root) != 32:
        raise ValueError("this is no checkpoint")
    return Head(origin, int(rest[0]), root)


def read_keys(text: str) -> list[bytes]:
    """The public keys of a file: one a line, lines that begin with # left out. Raises ValueError."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        keys = [read_key(line) for line in lines]
    except ReceiptError as error:
        raise ValueError(str(error)) from error
    if not keys:
        raise ValueError("there is no public key in this file")
    return keys
