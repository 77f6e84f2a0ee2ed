"""An authority of one's own, for development and CI: it makes bundles and SVIDs like SPIRE's. Production refuses it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
YEARS = timedelta(days=3_650)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, common)])


@dataclass(frozen=True)
class Svid:
    """An X.509-SVID: its chain (PEM, its own certificate first) and its private key (PEM)."""

    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """Signs for one trust domain."""

    trust_domain: str
    key: ec.EllipticCurvePrivateKey
    jwt_key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, trust_domain: str) -> "Authority":
        """One that nobody trusts yet."""
        key, now = _new_key(), datetime.now(UTC)
        certificate = _signed(
            key,
            _name(trust_domain),
            key.public_key(),
            _name(trust_domain),
            [x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")],
            authority=True,
            lasts=(now - timedelta(hours=1), now + YEARS),
        )
        return cls(trust_domain, key, _new_key(), certificate)

    def bundle(self) -> bytes:
        """The trust bundle, as a JWKS."""
        encoded = base64.b64encode(self.certificate.public_bytes(DER)).decode()
        keys = [
            {"use": "x509-svid", "x5c": [encoded], **_jwk(self.key.public_key())},
            {"use": "jwt-svid", "kid": "mock", **_jwk(self.jwt_key.public_key())},
        ]
        return json.dumps({"keys": keys, "spiffe_sequence": 1, "spiffe_refresh_hint": 300}).encode()

    def x509(
        self,
        spiffe_id: str | Sequence[str],
        *,
        ttl: timedelta = timedelta(hours=1),
        dns: Sequence[str] = (),
        authority: bool = False,
    ) -> Svid:
        """An SVID for `spiffe_id`, valid from an hour ago until `ttl` from now."""
        ids = [spiffe_id] if isinstance(spiffe_id, str) else spiffe_id
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(each) for each in ids]
        names += [x509.DNSName(each) for each in dns]
        key, now = _new_key(), datetime.now(UTC)
        made = _signed(
            self.key,
            self.certificate.subject,
            key.public_key(),
            _name("SPIRE"),
            names,
            authority=authority,
            lasts=(now - max(timedelta(hours=1), -2 * ttl), now + ttl),
        )
        return Svid(made.public_bytes(PEM), _pem(key))

    def jwt(self, spiffe_id: str, audience: str, *, ttl: timedelta = timedelta(hours=1), **more: Any) -> str:
        """A JWT-SVID; `more` are further claims, or None for one to leave out."""
        claims = {"sub": spiffe_id, "aud": audience, "exp": datetime.now(UTC) + ttl, "iat": datetime.now(UTC)} | more
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, self.jwt_key, "ES256", headers={"kid": "mock"})

    def save(self, folder: Path) -> None:
        """Keeps it in `folder`, for this user alone."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in (
            (f"{self.trust_domain}.key", _pem(self.key)),
            (f"{self.trust_domain}.jwt.key", _pem(self.jwt_key)),
            (f"{self.trust_domain}.json", self.bundle()),
            (f"{self.trust_domain}.pem", self.certificate.public_bytes(PEM)),
        ):
            file = folder / name
            file.touch(mode=0o600)
            file.write_bytes(content)


def open_or_make(folder: Path, trust_domain: str) -> Authority:
    """The authority that `folder` keeps for this trust domain, or a new one that it keeps from now on."""
    file = folder / f"{trust_domain}.pem"
    if not file.exists():
        made = Authority.new(trust_domain)
        made.save(folder)
        return made
    return Authority(
        trust_domain,
        _kept(folder / f"{trust_domain}.key"),
        _kept(folder / f"{trust_domain}.jwt.key"),
        x509.load_pem_x509_certificate(file.read_bytes()),
    )


def _kept(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{file.name} was not made here")
    return key


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    x, y = (base64.urlsafe_b64encode(each.to_bytes(32, "big")).rstrip(b"=").decode() for each in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _signed(
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    names: Sequence[x509.GeneralName],
    *,
    authority: bool,
    lasts: tuple[datetime, datetime],
) -> x509.Certificate:
    """A certificate with what SPIRE puts into one."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(lasts[0])
        .not_valid_after(lasts[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    if not authority:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
