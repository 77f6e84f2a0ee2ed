"""Trust bundles: who may sign for one trust domain (SPIFFE Trust Domain and Bundle, section 4)."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SMALLEST_RSA = 2_048  # bits
type PublicKey = RSAPublicKey | EllipticCurvePublicKey


class BadBundle(ValueError):
    """What was read is no trust bundle; the message says why."""


@dataclass(frozen=True)
class TrustBundle:
    """One trust domain's: `roots` sign X.509-SVIDs, `keys` (by key id) JWT-SVIDs."""

    trust_domain: str
    roots: tuple[x509.Certificate, ...]
    keys: tuple[tuple[str, PublicKey], ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """`sha256:…` over all authorities, whatever order or form they came in."""
        parts = [root.public_bytes(Encoding.DER) for root in self.roots]
        parts += [key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for _, key in self.keys]
        whole = hashlib.sha256(b"".join(sorted(hashlib.sha256(part).digest() for part in parts)))
        return f"sha256:{whole.hexdigest()}"


def read(trust_domain: str, content: bytes) -> TrustBundle:
    """A JWKS, or certificates as PEM. Raises BadBundle, also for one without any authority."""
    bundle = from_pem(trust_domain, content) if b"-----BEGIN" in content else from_jwks(trust_domain, content)
    if not bundle.roots and not bundle.keys:
        raise BadBundle("it holds no authority")
    return bundle


def from_pem(trust_domain: str, content: bytes) -> TrustBundle:
    """Certificates of authorities as PEM. Raises BadBundle."""
    try:
        roots = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise BadBundle(f"its certificates cannot be read: {error}") from error
    return TrustBundle(trust_domain, tuple(map(_authority, roots)))


def from_jwks(trust_domain: str, content: bytes) -> TrustBundle:
    """A SPIFFE bundle as a JWKS; keys of another use are left out, as section 4.2.2 wants. Raises BadBundle."""
    try:
        entries = json.loads(content)["keys"]
        of_use = [(entry.get("use"), entry) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadBundle("it is no JSON object with a list of keys") from error
    return TrustBundle(
        trust_domain,
        tuple(_certificate(entry) for use, entry in of_use if use == "x509-svid"),
        tuple(_key(entry) for use, entry in of_use if use == "jwt-svid"),
    )


def _certificate(entry: dict[str, Any]) -> x509.Certificate:
    try:
        [encoded] = entry["x5c"]
        return _authority(x509.load_der_x509_certificate(base64.b64decode(encoded, validate=True)))
    except (KeyError, ValueError, TypeError, binascii.Error) as error:
        raise BadBundle("a key of use x509-svid has not one certificate") from error


def _authority(certificate: x509.Certificate) -> x509.Certificate:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca:
        raise BadBundle("a certificate is not that of an authority")
    return certificate


def _key(entry: dict[str, Any]) -> tuple[str, PublicKey]:
    key_id = entry.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise BadBundle("a key of use jwt-svid has no kid")
    if entry.get("kty") not in ("RSA", "EC") or "d" in entry:
        raise BadBundle(f"the key {key_id} is not a public key of RSA or an elliptic curve")
    try:
        key = jwt.PyJWK(entry, algorithm="RS256" if entry["kty"] == "RSA" else "ES256").key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise BadBundle(f"the key {key_id} cannot be read: {error}") from error
    if isinstance(key, RSAPublicKey) and key.key_size < SMALLEST_RSA:
        raise BadBundle(f"the key {key_id} is shorter than {SMALLEST_RSA} bits")
    return key_id, key
