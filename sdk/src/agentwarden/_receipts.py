"""Receipts: an executor's proof that a person approved exactly this action, verified with the public key alone.

used = UsedReceipts("/var/lib/payments/receipts.db")
receipt = verify_receipt(token, PUBLIC_KEY, audience="https://payments.example.com", used=used, context=context)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from typing import Any

from ._errors import ReceiptError, ValidationError
from ._json import encode

TYPE = "warden-receipt+jwt"
# The one algorithm there is, by the name that Warden writes (RFC 8037) and by the one that replaces it (RFC 9864).
ALGORITHMS = ("EdDSA", "Ed25519")
NEEDED = 'receipts need more: pip install "agentwarden-client[receipts]"'
LEEWAY = 30  # seconds that two clocks may differ
TEXTS = ("iss", "jti", "sub", "aud", "agent", "action", "digest", "context_sha256", "policy_version")
NUMBERS = ("iat", "exp", "approved_at", "index")


@dataclass(frozen=True)
class Receipt:
    """What was approved, and by whom. Times are seconds since 1970. `claims` has everything that was signed."""

    approval_id: str
    event_id: str
    log: str
    index: int
    audience: str
    agent: str
    action: str
    digest: str
    context_sha256: str
    policy_version: str
    approved_at: int
    claimed_at: int
    expires_at: int
    approvers: tuple[Mapping[str, str], ...]
    claims: Mapping[str, Any]


class UsedReceipts:
    """Remembers receipts that were used, until they have expired anyway: in a SQLite file, shared by processes.

    Without a path it remembers as long as this process lives, and knows nothing of others.
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._used: dict[str, int] = {}
        if path is not None:
            with closing(self._open()) as database:
                database.execute("CREATE TABLE IF NOT EXISTS used (jti TEXT PRIMARY KEY, expires INTEGER NOT NULL)")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path or "", timeout=10, isolation_level=None)

    def __call__(self, jti: str, expires: int) -> bool:
        """True the first time that a receipt is used, and never again. Raises sqlite3.Error: then do not act."""
        past = int(time.time()) - 10 * LEEWAY
        with self._lock:
            if self._path is None:
                self._used = {each: until for each, until in self._used.items() if until >= past}
                if jti in self._used:
                    return False
                self._used[jti] = expires
                return True
            with closing(self._open()) as database:
                database.execute("DELETE FROM used WHERE expires < ?", [past])
                return database.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", [jti, expires]).rowcount == 1


def verify_receipt(
    receipt: str,
    public_key: str | Iterable[str],
    *,
    audience: str,
    used: Callable[[str, int], bool],
    agent: str | None = None,
    action: str | None = None,
    context: Mapping[str, Any] | None = None,
    now: float | None = None,
) -> Receipt:
    """The receipt, if one of the keys signed it for this audience, it is in time, and it was not used before.

    `public_key` is a verifier key as Warden's log page shows it, or the 32 bytes in base64; several, while keys are
    rotated. `agent`, `action` and `context`: what is about to be done, which must be what was approved. `used` is
    called last, with the receipt's id and expiry, and says whether this is its first use: an UsedReceipts, or your own.
    Raises ReceiptError. Needs `pip install "agentwarden-client[receipts]"`.
    """
    keys = [public_key] if isinstance(public_key, str) else list(public_key)
    claims = read_receipt(receipt, [read_key(key) for key in keys])
    found = _read(claims)
    at = time.time() if now is None else now
    if found.audience != audience:
        raise ReceiptError("this receipt is for another audience")
    if not at <= found.expires_at + LEEWAY:  # said so that NaN is refused
        raise ReceiptError("this receipt has expired")
    if not at >= found.claimed_at - LEEWAY:
        raise ReceiptError("this receipt is not valid yet: are the clocks right?")
    if agent is not None and agent != found.agent:
        raise ReceiptError("this receipt is for another agent")
    if action is not None and action != found.action:
        raise ReceiptError("this receipt is for another action")
    if context is not None and context_sha256(context) != found.context_sha256:
        raise ReceiptError("what is to be done is not what was approved")
    if used(found.event_id, found.expires_at) is not True:  # a coroutine only looks true
        raise ReceiptError("this receipt was used already")
    return found


def read_receipt(receipt: str, keys: Iterable[bytes]) -> dict[str, Any]:
    """What a receipt says, if one of these public keys signed it; nothing else is looked at. Raises ReceiptError."""
    header, claims, signed, signature = _parts(receipt)
    if header.get("alg") not in ALGORITHMS or header.get("typ") != TYPE or set(header) - {"alg", "typ", "kid"}:
        raise ReceiptError("this is no receipt: its header is another")
    if not any(_is_signed(signed, signature, key) for key in keys):
        raise ReceiptError("no key that you trust signed this receipt")
    return claims


def context_sha256(context: Mapping[str, Any]) -> str:
    """SHA-256 of the context as RFC 8785 writes it, in hex. Raises ReceiptError for what is no JSON."""
    try:
        from rfc8785 import dumps  # an extra, as cryptography is

        return hashlib.sha256(dumps(json.loads(encode(context), parse_int=_number))).hexdigest()
    except ImportError as error:
        raise ReceiptError(NEEDED) from error
    except (ValidationError, ValueError, OverflowError) as error:
        raise ReceiptError(f"the context is no JSON: {error}") from error


def _number(text: str) -> int | float:
    """From 2^53 on a whole number is a double that RFC 8785 writes so, where it is one exactly; else it has no form."""
    value = int(text)
    return float(value) if abs(value) >= 2**53 and float(value) == value else value


def read_key(text: str) -> bytes:
    """The 32 bytes of a public key: a C2SP verifier key (name+id+base64), or base64. Raises ReceiptError."""
    try:
        data = base64.b64decode(re.sub(r"^[^\s+]+\+[0-9a-f]{8}\+", "", text.strip()), validate=True)
    except binascii.Error:
        data = b""
    if len(data) == 33 and data[0] == 1:
        data = data[1:]
    if len(data) != 32:
        raise ReceiptError("this is no public key of Warden: copy it from the page of the log")
    return data


def _parts(receipt: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    pieces = receipt.split(".") if isinstance(receipt, str) else []
    if len(pieces) != 3:
        raise ReceiptError("this is no receipt")
    header, claims, signature = map(_decode, pieces)
    return _object(header), _object(claims), f"{pieces[0]}.{pieces[1]}".encode(), signature


def _decode(text: str) -> bytes:
    """Base64url in its one form: without that, a receipt could be altered and still be taken."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ReceiptError("this is no receipt") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ReceiptError("this is no receipt")
    return data


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ReceiptError("this is no receipt") from error
    if not isinstance(value, dict):
        raise ReceiptError("this is no receipt")
    return value


def _is_signed(signed: bytes, signature: bytes, public: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:  # an extra: agents that only ask do without it
        raise ReceiptError(NEEDED) from error
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _read(claims: dict[str, Any]) -> Receipt:
    texts = {name: claims.get(name) for name in TEXTS}
    numbers = {name: claims.get(name) for name in NUMBERS}
    approvers = claims.get("approvers")
    if (
        not all(isinstance(text, str) and text for text in texts.values())
        or not all(type(number) is int for number in numbers.values())
        or not isinstance(approvers, list)
        or not approvers
        or not all(isinstance(each, dict) for each in approvers)
    ):
        raise ReceiptError("this receipt lacks something: was it made by a newer Warden?")
    return Receipt(
        approval_id=claims["sub"],
        event_id=claims["jti"],
        log=claims["iss"],
        index=claims["index"],
        audience=claims["aud"],
        agent=claims["agent"],
        action=claims["action"],
        digest=claims["digest"],
        context_sha256=claims["context_sha256"],
        policy_version=claims["policy_version"],
        approved_at=claims["approved_at"],
        claimed_at=claims["iat"],
        expires_at=claims["exp"],
        approvers=tuple(approvers),
        claims=claims,
    )
