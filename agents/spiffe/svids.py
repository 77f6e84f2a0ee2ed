"""SVIDs: documents that prove a SPIFFE ID. Everything that is not proved is refused, with a word for why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import verification

from agents.spiffe.bundles import PublicKey, TrustBundle
from agents.spiffe.names import SpiffeId, parse

CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *CURVES})  # JWT-SVID, section 2.1
DEEPEST = 5  # certificates between an SVID and its authority
LONGEST = 16_384  # characters of a JWT-SVID
type Bundles = Mapping[str, TrustBundle]


class Refused(Exception):
    """Why an SVID proves nothing: a word for counts, and a sentence for whoever presented it. `id` is set where only
    time speaks against it."""

    def __init__(self, code: str, reason: str, id: SpiffeId | None = None) -> None:  # noqa: A002
        super().__init__(reason)
        self.code = code
        self.id = id


class Proof(NamedTuple):
    """What an SVID proves, and until when."""

    id: SpiffeId
    expires_at: datetime


def verify_jwt(token: str, bundles: Bundles, *, audience: str, now: datetime) -> Proof:
    """A JWT-SVID (JWT-SVID, sections 2 to 4): signature, audience, time. Raises Refused."""
    if len(token) > LONGEST:
        raise Refused("svid_malformed", "The JWT-SVID is too long")
    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
        claimed: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise Refused("svid_malformed", "The token is no JWT") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise Refused("svid_algorithm", "The JWT-SVID is signed with an algorithm that is not allowed")
    if header.get("typ") not in (None, "JWT", "JOSE") or "crit" in header:
        raise Refused("svid_malformed", "The header of the JWT-SVID is not that of a JWT-SVID")
    id_ = _name(claimed.get("sub"))
    for known, key in _bundle(id_, bundles).keys:
        if (key_id is None or key_id == known) and _suits(key, algorithm):
            try:
                said = jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=audience,
                    options={"require": ["exp", "aud", "sub"], "verify_exp": False, "verify_iat": False},
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
                raise Refused("svid_audience", f"The JWT-SVID is not for {audience}, or lacks a claim") from error
            except jwt.PyJWTError as error:
                raise Refused("svid_malformed", "The JWT-SVID is malformed or not valid yet") from error
            return _in_time(id_, _moment(said["exp"]), now)
    raise Refused("svid_untrusted", "No key of the trust domain has signed this JWT-SVID")


def verify_x509(chain: Sequence[x509.Certificate], bundles: Bundles, *, now: datetime) -> Proof:
    """An X.509-SVID and its intermediates, its own first (X509-SVID, sections 2 to 5). Raises Refused."""
    if not 1 <= len(chain) <= DEEPEST + 1:
        raise Refused("svid_malformed", "There is no certificate, or there are too many")
    leaf, *intermediates = chain
    id_ = _name(_uri(leaf))
    bundle = _bundle(id_, bundles)
    _check_leaf(leaf)
    expires_at = min(certificate.not_valid_after_utc for certificate in chain)
    at = min(now, expires_at)  # that it is late is told last: it is then good otherwise
    try:
        builder = (
            verification.PolicyBuilder().store(verification.Store(list(bundle.roots))).time(at.replace(tzinfo=None))
        )
        builder.max_chain_depth(DEEPEST).build_client_verifier().verify(leaf, intermediates)
    except (verification.VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
        raise Refused("svid_untrusted", "No authority of the trust domain has signed this certificate") from error
    for certificate in intermediates:
        signer = _uri(certificate, required=False)
        if signer is not None and signer.partition("://")[2].partition("/")[0] != id_.trust_domain:
            raise Refused("svid_untrusted", "A signing certificate is of another trust domain")
    return _in_time(id_, expires_at, now)


def _in_time(id_: SpiffeId, expires_at: datetime, now: datetime) -> Proof:
    if expires_at <= now:
        raise Refused("svid_expired", "The SVID has expired", id_)
    return Proof(id_, expires_at)


def _name(text: Any) -> SpiffeId:
    if not isinstance(text, str):
        raise Refused("svid_malformed", "The SVID names no SPIFFE ID")
    try:
        return parse(text)
    except ValueError as error:
        raise Refused("svid_malformed", f"The SVID names no SPIFFE ID of a workload. {error}") from error


def _bundle(id_: SpiffeId, bundles: Bundles) -> TrustBundle:
    found = bundles.get(id_.trust_domain)
    if found is None:
        raise Refused("untrusted_domain", "The trust domain is not one that is trusted here")
    return found


def _suits(key: PublicKey, algorithm: str) -> bool:
    """Whether a key may sign by this algorithm: an RSA key is none of a curve, a curve's is of one alone."""
    if isinstance(key, EllipticCurvePublicKey):
        return CURVES.get(algorithm) == key.curve.name
    return isinstance(key, RSAPublicKey) and algorithm not in CURVES


def _moment(seconds: Any) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Refused("svid_malformed", "The expiry of the JWT-SVID is no time")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Refused("svid_malformed", "The expiry of the JWT-SVID is no time") from error


def _uri(certificate: x509.Certificate, *, required: bool = True) -> str | None:
    """The one URI among the names of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        found = []
    except ValueError as error:
        raise Refused("svid_malformed", "The certificate cannot be read") from error
    if len(found) > 1 or (required and not found):
        raise Refused("svid_malformed", "An X.509-SVID has exactly one URI among its names")
    return found[0] if found else None


def _check_leaf(leaf: x509.Certificate) -> None:
    """X509-SVID, sections 4.1 and 4.3: an SVID signs no certificates."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise Refused("svid_malformed", "The certificate does not say what its key is for") from error
    try:
        authority = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    if authority or usage.key_cert_sign or usage.crl_sign or not usage.digital_signature:
        raise Refused("svid_malformed", "The certificate is an authority's, not a workload's")
