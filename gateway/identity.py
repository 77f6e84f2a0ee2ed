"""SVIDs at the door: the certificate of a mutual-TLS connection, one that a proxy forwards, or a JWT."""

import asyncio
import contextlib
import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings

from agents.spiffe import identities, svids
from agents.spiffe.svids import Proof, Refused
from gateway import metrics, trust

if TYPE_CHECKING:
    from gateway.app import Request

log = structlog.get_logger(__name__)
PEER = (
    "warden.peer"  # in scope["extensions"]: the client's certificates as DER, its own first, put there by our listener
)
FORWARDED = b"x-forwarded-client-cert"
LARGEST = 65_536  # bytes of a forwarded chain
KEPT = 10_000  # proofs in one process
OWN = "warden"  # the agent label of what is Warden's own
type Chain = Sequence[bytes]


class Presented(NamedTuple):
    """An SVID as it came: the bytes that name it, and how it is verified."""

    name: bytes
    verify: Callable[[datetime], Proof]


class Identities:
    """One per process. `bundles` are those of the latest refresh; proofs are good for them alone."""

    def __init__(self) -> None:
        self.bundles: trust.Bundles = {}
        self.changed: list[Callable[[], None]] = []  # called, in the loop, after each refresh
        self._proofs: OrderedDict[bytes, Proof] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Begins to read bundles, where a trust domain is believed at all."""
        if settings.SPIFFE_TRUST_DOMAINS:
            self._task = asyncio.create_task(self._run(), name="identities")
        else:
            self._ready.set()

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                bundles = await asyncio.to_thread(trust.refresh, self.bundles, _failed)
                if _fingerprints(bundles) != _fingerprints(self.bundles):
                    self._proofs.clear()  # who was trusted may be so no more
                self.bundles = bundles
                for tell in self.changed:
                    tell()
            except Exception as error:  # whatever it is: the next round tries again, and what is known stays
                _failed(OWN)
                log.error("gateway.refresh_failed", exc_info=error)
            self._ready.set()
            await asyncio.sleep(settings.SPIFFE_REFRESH_SECONDS)

    async def credential(self, request: "Request") -> bytes | None:
        """The name of the identity that an SVID with this request proves; None where it presents none.

        Raises svids.Refused. Verifying is what strangers can make us do: what was verified is remembered.
        """
        presented = self._presented(request)
        if presented is None:
            return None
        await self._ready.wait()
        proof = self._proofs.get(presented.name)
        now = datetime.now(UTC)  # the writer judges the expiry again, by the database's clock
        if proof is None:
            proof = presented.verify(now)
            self._proofs[presented.name] = proof
            if len(self._proofs) > KEPT:
                self._proofs.popitem(last=False)
        elif proof.expires_at <= now:
            raise Refused("svid_expired", "The SVID has expired", proof.id)
        return identities.credential(proof)

    def _presented(self, request: "Request") -> Presented | None:
        """A certificate speaks before a token: it was the connection's."""
        chain = request.peer
        if chain is None and (header := request.headers.get(FORWARDED)) and _is_proxy(request.client):
            chain = forwarded(header)
        if chain is not None:
            return Presented(_named(b"x509", *chain), lambda now: self._verify_chain(chain, now))
        token = request.bearer()
        if token.count(".") == 2 and settings.SPIFFE_TRUST_DOMAINS:  # else it is a key like any other, and a wrong one
            return Presented(_named(b"jwt", token.encode()), lambda now: self._verify_token(token, now))
        return None

    def _verify_chain(self, chain: Chain, now: datetime) -> Proof:
        try:
            certificates = [x509.load_der_x509_certificate(each) for each in chain]
        except ValueError as error:
            raise Refused("svid_malformed", "The certificate cannot be read") from error
        return svids.verify_x509(certificates, self.bundles, now=now)

    def _verify_token(self, token: str, now: datetime) -> Proof:
        return svids.verify_jwt(token, self.bundles, audience=settings.SPIFFE_AUDIENCE, now=now)


def used(agent: str, credential: bytes) -> None:
    """An agent came with an SVID: how long that one still lasts is measured."""
    metrics.svid_seen(agent, int(credential.partition(b"#")[2]) - time.time())


def _failed(_: str) -> None:
    metrics.rotation_failed(OWN)


def _fingerprints(bundles: trust.Bundles) -> dict[str, str]:
    return {domain: bundle.fingerprint for domain, bundle in bundles.items()}


def _named(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def _is_proxy(client: str) -> bool:
    """Whether the connection comes from a proxy that whoever runs this named. Of others the header is not read."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in settings.SPIFFE_PROXIES)


def forwarded(header: bytes) -> list[bytes]:
    """The chain in X-Forwarded-Client-Cert, as Envoy writes it: Chain or Cert, as URL-encoded PEM. Raises Refused.

    One element: a proxy that appends to what a client sent would let clients speak for others.
    """
    if len(header) > LARGEST:
        raise Refused("svid_malformed", "The forwarded certificate is too long")
    elements = _split(header, b",")
    if len(elements) != 1:
        raise Refused("svid_forwarded", "There are several forwarded certificates: the proxy must set the header anew")
    said: dict[bytes, bytes] = {}
    for pair in _split(elements[0], b";"):
        name, _, value = pair.partition(b"=")
        said[name.strip().lower()] = value.strip().strip(b'"')
    pem = unquote_to_bytes(said.get(b"chain") or said.get(b"cert") or b"")
    try:
        return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem)]
    except ValueError as error:
        raise Refused("svid_forwarded", "The proxy forwards no certificate: it must set Cert or Chain") from error


def _split(text: bytes, by: bytes) -> list[bytes]:
    """Split outside of quotes."""
    parts, quoted, start = [], False, 0
    for at in range(len(text)):
        if text[at : at + 1] == b'"':
            quoted = not quoted
        elif text[at : at + 1] == by and not quoted:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
