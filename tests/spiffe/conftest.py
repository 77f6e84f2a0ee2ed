"""A trust domain with its authority, Warden's mutual-TLS listener, and agents that come with SVIDs."""

import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.spiffe.mock import PEM, Authority, Svid
from tests.gateway.conftest import World, make_world
from tests.server import Server, free_port

CALLER = "spiffe://example.com/agent/support/production"
AUDIENCE = "https://warden.example.com"


@dataclass
class Trust:
    """Who signs: `ours` is trusted, `partner` speaks for another organization, `stranger` for nobody."""

    folder: Path
    ours: Authority
    partner: Authority
    stranger: Authority

    @property
    def settings(self) -> dict[str, str]:
        return {
            "SPIFFE_TRUST_DOMAINS": "example.com=acme,partner.example=globex",
            "SPIFFE_BUNDLE_DIR": str(self.folder),
            "SPIFFE_AUDIENCE": AUDIENCE,
            "SPIFFE_REFRESH_SECONDS": "1",
        }


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder = tmp_path_factory.mktemp("bundles")
    trust = Trust(folder, *(Authority.new(name) for name in ("example.com", "partner.example", "stranger.example")))
    (folder / "example.com.json").write_bytes(trust.ours.bundle())
    (folder / "partner.example.json").write_bytes(trust.partner.bundle())
    return trust


class Listener(Server):
    """The mutual-TLS listener as a process; `tls()` is a client's side of it."""

    def __init__(self, trust: Trust, folder: Path, **more: str) -> None:
        self.folder = folder
        own = trust.ours.x509("spiffe://example.com/warden", dns=["localhost"])
        for name, content in (("tls.pem", own.chain), ("tls.key", own.key)):
            (folder / name).write_bytes(content)
        port = free_port()
        super().__init__(
            port=port,
            **{
                **trust.settings,
                "SPIFFE_LISTEN": f"127.0.0.1:{port}",
                "SPIFFE_TLS_CERT": str(folder / "tls.pem"),
                "SPIFFE_TLS_KEY": str(folder / "tls.key"),
                **more,
            },
        )
        self.url = f"https://localhost:{port}"
        self.trust = trust

    def start(self) -> None:
        self.start_command([sys.executable, "-m", "warden.listener"])

    def wait(self, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process and self.process.poll() is None:
            try:
                with self.client(self.trust.ours.x509(CALLER)) as client:
                    if client.get("/health").status_code == 200:
                        return
            except httpx.TransportError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the listener did not get ready:\n{self.log.read_text()[-4000:]}")

    def tls(self, svid: Svid | None = None, *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.trust.ours.certificate.public_bytes(PEM).decode())
        context.maximum_version = most
        if svid:
            chain, key = self.folder / "client.pem", self.folder / "client.key"
            chain.write_bytes(svid.chain)
            key.write_bytes(svid.key)
            context.load_cert_chain(chain, key)
        return context

    def client(self, svid: Svid | None = None, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.tls(svid, **more), timeout=20)


@pytest.fixture(scope="session")
def running_listener(
    django_db_setup: None, trusted: Trust, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Listener]:
    with Listener(trusted, tmp_path_factory.mktemp("tls")) as listener:
        yield listener


@pytest.fixture(scope="session")
def running_spiffe_server(django_db_setup: None, trusted: Trust) -> Iterator[Server]:
    """The web server that takes JWT-SVIDs, and certificates from a proxy on this machine."""
    with Server(**trusted.settings, SPIFFE_PROXIES="127.0.0.1/32") as server:
        yield server


@pytest.fixture
def listener(running_listener: Listener, transactional_db: None) -> Listener:
    return running_listener


@pytest.fixture
def spiffe_server(running_spiffe_server: Server, transactional_db: None) -> Server:
    return running_spiffe_server


@pytest.fixture
def acme(transactional_db: None) -> Iterator[World]:
    """Acme, whose support bot has a SPIFFE ID. Its server is nobody's: ask the listener or the server named above."""
    with httpx.Client() as client:
        world = make_world(Server.__new__(Server), client)
        type(world.bot).objects.filter(pk=world.bot.pk).update(spiffe_id=CALLER)
        world.bot.refresh_from_db()
        yield world
