"""Receipts: what a claim's event says, signed, for whoever carries the action out. JWS in compact form (RFC 7515).

An event asks for one by an object `receipt` in its data; this room signs it without knowing what an approval is.
"""

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.canonical import canonical
from audit.leaf import read_body

RECEIPTED = ["agent:approval:claim"]
ASKED = "warden_sequence"  # NOTIFY: somebody waits for a receipt
SIGNED = "warden_receipt"  # NOTIFY: it is there; the payload is what it is about, as apr_…
TYPE = "warden-receipt+jwt"
# RFC 9864 calls it Ed25519 and deprecates this name, which is the only one that most JOSE libraries know yet. Executors
# read receipts with any of them; `agentwarden.verify_receipt` takes both names, so that this one can change some day.
ALGORITHM = "EdDSA"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(public: bytes) -> str:
    """RFC 7638, of the key as RFC 8037 writes it: names it in `kid`."""
    return _text(hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": _text(public)}).encode()).digest())


def jwk(public: bytes) -> dict[str, str]:
    """The public key as JOSE libraries read it (RFC 8037)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _text(public),
        "kid": thumbprint(public),
        "alg": ALGORITHM,
        "use": "sig",
    }


def receipt(body: str, origin: str, index: int, private: Ed25519PrivateKey) -> str:
    """The receipt that an event asks for; empty where it asks for none."""
    event = read_body(body)
    asked: dict[str, Any] | None = event["data"].get("receipt")
    if not asked:
        return ""
    header = {"alg": ALGORITHM, "kid": thumbprint(private.public_key().public_bytes_raw()), "typ": TYPE}
    claims = asked | {"iss": origin, "jti": event["id"], "index": index}
    signed = f"{_text(canonical(header).encode())}.{_text(canonical(claims).encode())}"
    return f"{signed}.{_text(private.sign(signed.encode()))}"
