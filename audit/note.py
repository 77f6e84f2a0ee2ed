"""C2SP signed notes (c2sp.org/signed-note) by Ed25519, and checkpoints (c2sp.org/tlog-checkpoint). Pure."""

import base64
import hashlib
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
DASH = "— "


class Head(NamedTuple):
    """What a checkpoint says of a tree."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """Strict base64. Raises ValueError."""
    data = base64.b64decode(text, validate=True)
    if encode(data) != text:
        raise ValueError("not canonical base64")
    return data


def key_id(name: str, public: bytes) -> bytes:
    """The four bytes that go before a signature of this key under this name."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """The key as verifiers take it: name+id+key."""
    return f"{name}+{key_id(name, public).hex()}+{encode(ED25519 + public)}"


def sign(text: str, name: str, private: Ed25519PrivateKey) -> str:
    """The note: `text`, which ends in a newline, signed under `name`."""
    signature = key_id(name, private.public_key().public_bytes_raw()) + private.sign(text.encode())
    return f"{text}\n{DASH}{name} {encode(signature)}\n"


def verified(note: str, name: str, public: bytes) -> str:
    """The text of `note` if this key signed it under this name. Raises ValueError."""
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise ValueError("not a signed note")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        signer, _, signature = line.removeprefix(DASH).rpartition(" ")
        if not line.startswith(DASH) or not signer:
            raise ValueError("not a signature line")
        data = decode(signature)
        if signer == name and data[:4] == key_id(name, public):
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(data[4:], text.encode())
            except InvalidSignature as error:
                raise ValueError("the signature is wrong") from error
            return text
    raise ValueError("not signed by this key")


def read_head(text: str) -> Head:
    """The tree that a checkpoint's text names. Raises ValueError."""
    origin, size, root, *_ = text.split("\n")
    if not origin or not size.isascii() or not size.isdigit() or str(int(size)) != size:
        raise ValueError("not a checkpoint")
    return Head(origin, int(size), decode(root))


def head_of(signed: str) -> Head:
    """The tree that a checkpoint names, whoever signed it. Raises ValueError."""
    return read_head(signed.partition("\n\n")[0] + "\n")
