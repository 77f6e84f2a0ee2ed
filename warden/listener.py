"""The mutual-TLS listener: agents that prove who they are by an X.509-SVID knock here, at the same door.

A process of its own (`python -m warden.listener`; script/run starts it where SPIFFE_LISTEN is set), for the web server
does not show an application the client's certificate. TLS asks for a certificate that some trust bundle signs;
gateway.identity then verifies the chain again, against the bundle of the very trust domain it names.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warden.settings")

import django

django.setup(set_prefix=False)

import asyncio  # noqa: E402 - after the settings
import ssl  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import structlog  # noqa: E402
import uvicorn  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding  # noqa: E402
from django.conf import settings  # noqa: E402
from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: E402

from gateway import answers, metrics, routes  # noqa: E402
from gateway.app import Gateway, Receive, Scope, Send, respond  # noqa: E402
from gateway.identity import OWN, PEER  # noqa: E402
from warden import tracing  # noqa: E402
from warden.checks import refuse_to_start  # noqa: E402

log = structlog.get_logger(__name__)
VERSIONS = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}
# TLS 1.2's, where it is asked for. Those of 1.3 are OpenSSL's own: AES-256-GCM, ChaCha20-Poly1305, AES-128-GCM.
CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}" for key in ("ECDSA", "RSA") for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256")
)
WATCH = 5.0  # seconds between looks at our own certificate


def context() -> ssl.SSLContext:
    """TLS that shows our certificate and insists on the client's. Raises OSError where ours cannot be read."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = VERSIONS[settings.SPIFFE_TLS_MIN]
    made.set_ciphers(CIPHERS)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority of a bundle need not be self-signed
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    made.num_tickets = 0  # who comes again shows the certificate again
    made.load_cert_chain(settings.SPIFFE_TLS_CERT, settings.SPIFFE_TLS_KEY)
    return made


class Protocol(H11Protocol):
    """HTTP/1.1 that shows the application the client's certificates."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        chain = tuple(transport.get_extra_info("ssl_object").get_unverified_chain())
        application: Any = self.app

        async def shown(scope: Any, receive: Any, send: Any) -> None:
            extensions = scope.get("extensions") or {}
            await application({**scope, "extensions": {**extensions, PEER: chain}}, receive, send)

        self.app = shown


class Listener:
    """The agents' door behind mutual TLS, and nothing else."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._gateway: Gateway | None = None
        self._watching: asyncio.Task[None] | None = None
        self._trusted: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._gateway is not None and routes.is_ours(scope["path"]):
            await self._gateway(scope, receive, send)
        else:
            await respond(send, answers.NOT_FOUND, b"-")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "lifespan.startup":
            self._gateway = Gateway()
            self._gateway.identities.changed.append(self._trust)
            self._gateway.start()
            self._watching = asyncio.create_task(self._watch(), name="certificate")
            await send({"type": "lifespan.startup.complete"})
        if self._watching:
            self._watching.cancel()
        if self._gateway:
            await self._gateway.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _trust(self) -> None:
        """New authorities are trusted by TLS as well. One that is gone stays so for TLS alone: the door refuses it."""
        bundles = self._gateway.identities.bundles if self._gateway else {}
        roots = {root.public_bytes(Encoding.DER) for bundle in bundles.values() for root in bundle.roots}
        if new := roots - self._trusted:
            self._tls.load_verify_locations(cadata=b"".join(sorted(new)))
            self._trusted |= new

    async def _watch(self) -> None:
        """Reads our certificate again when its file changed, and says how long it lasts."""
        seen = b""
        while True:
            try:
                content = await asyncio.to_thread(Path(settings.SPIFFE_TLS_CERT).read_bytes)
                if seen and content != seen:
                    self._tls.load_cert_chain(settings.SPIFFE_TLS_CERT, settings.SPIFFE_TLS_KEY)
                    log.info("listener.certificate_changed")
                seen = content
                expires_at = x509.load_pem_x509_certificates(content)[0].not_valid_after_utc
                metrics.svid_seen(OWN, (expires_at - datetime.now(UTC)).total_seconds())
            except (OSError, ValueError) as error:
                metrics.rotation_failed(OWN)
                log.error("listener.certificate_failed", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(WATCH)


def main() -> None:
    """Serves until it is told to stop."""
    refuse_to_start()
    if settings.SPIFFE_LISTEN is None:
        raise SystemExit("SPIFFE_LISTEN is not set: there is nowhere to listen.")
    host, port = settings.SPIFFE_LISTEN
    tls = context()
    config = uvicorn.Config(
        tracing.around(Listener(tls)),
        host=host,
        port=port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=8_192,
        limit_concurrency=settings.GATEWAY_MAX_WAITERS + 2_000,
        timeout_graceful_shutdown=5,
        ssl_context_factory=lambda _config, _default: tls,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
