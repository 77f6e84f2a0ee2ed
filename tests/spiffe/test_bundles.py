"""Trust bundles: where they come from, which are taken, and what stays when one cannot be read."""

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from concurrent import futures
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command
from pytest_django import Settings
from spiffe._proto import workload_pb2, workload_pb2_grpc

from agents.spiffe import bundles, svids
from agents.spiffe.bundles import BadBundle
from agents.spiffe.mock import DER, PEM, Authority
from gateway import trust

DOMAIN = "example.com"


@pytest.fixture
def authority() -> Authority:
    return Authority.new(DOMAIN)


@pytest.fixture
def configured(settings: Settings, tmp_path: Path) -> Settings:
    settings.SPIFFE_TRUST_DOMAINS = {DOMAIN: ""}
    settings.SPIFFE_BUNDLE_DIR = str(tmp_path)
    return settings


def refresh(known: trust.Bundles | None = None) -> tuple[trust.Bundles, list[str]]:
    failed: list[str] = []
    return trust.refresh(known or {}, failed.append), failed


def test_a_bundle_is_read_from_a_jwks_or_from_certificates(
    authority: Authority, configured: Settings, tmp_path: Path
) -> None:
    (tmp_path / f"{DOMAIN}.pem").write_bytes(authority.certificate.public_bytes(PEM))
    found, failed = refresh()
    assert (len(found[DOMAIN].roots), len(found[DOMAIN].keys), failed) == (1, 0, [])
    (tmp_path / f"{DOMAIN}.json").write_bytes(authority.bundle())
    found, _ = refresh()
    assert (len(found[DOMAIN].roots), len(found[DOMAIN].keys)) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"keys": 5}', b'{"keys": []}', b"-----BEGIN nothing"])
def test_what_cannot_be_read_is_no_bundle_and_the_last_one_stays(
    authority: Authority, configured: Settings, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / f"{DOMAIN}.json"
    file.write_bytes(authority.bundle())
    known, _ = refresh()
    file.write_bytes(content)
    found, failed = refresh(known)
    assert (found, failed) == (known, [DOMAIN])
    assert refresh() == ({}, [DOMAIN])


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kid": ""},
        {"crv": "P-999"},
        {"d": "AAAA"},
        {"use": "x509-svid"},
        {"use": "x509-svid", "x5c": ["!!!"]},
    ],
)
def test_a_key_that_is_none_spoils_the_bundle(authority: Authority, change: dict[str, Any]) -> None:
    said = json.loads(authority.bundle())
    said["keys"][1] |= change
    with pytest.raises(BadBundle):
        bundles.read(DOMAIN, json.dumps(said).encode())


def test_keys_of_another_use_are_left_out(authority: Authority) -> None:
    said = json.loads(authority.bundle())
    said["keys"] += [{"use": "sig", "kty": "oct"}, {"kty": "oct"}]
    assert len(bundles.read(DOMAIN, json.dumps(said).encode()).keys) == 1


def test_a_workloads_certificate_is_no_authority(authority: Authority) -> None:
    with pytest.raises(BadBundle, match="authority"):
        bundles.read(DOMAIN, authority.x509(f"spiffe://{DOMAIN}/agent/x").chain)


def test_a_pinned_bundle_is_that_one_or_none(authority: Authority, configured: Settings, tmp_path: Path) -> None:
    file = tmp_path / f"{DOMAIN}.json"
    file.write_bytes(authority.bundle())
    known, _ = refresh()
    pin = known[DOMAIN].fingerprint
    configured.SPIFFE_BUNDLE_PINS = {DOMAIN: [pin]}
    assert refresh() == (known, [])
    file.write_bytes(Authority.new(DOMAIN).bundle())
    assert refresh(known) == (known, [DOMAIN])
    assert refresh() == ({}, [DOMAIN])


def test_a_fingerprint_is_of_the_authorities_and_not_of_the_file(authority: Authority) -> None:
    said = json.loads(authority.bundle())
    turned = {"spiffe_sequence": 7, "keys": said["keys"][::-1]}
    one, two = (bundles.read(DOMAIN, json.dumps(each).encode()) for each in (said, turned))
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != bundles.read(DOMAIN, authority.certificate.public_bytes(PEM)).fingerprint


@pytest.fixture
def endpoint(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A SPIFFE bundle endpoint over https, and what it answers."""
    web = Authority.new("web.example")
    svid = web.x509("spiffe://web.example/endpoint", dns=["localhost"])
    (tmp_path / "web.pem").write_bytes(svid.chain)
    (tmp_path / "web.key").write_bytes(svid.key)
    (tmp_path / "web-ca.pem").write_bytes(web.certificate.public_bytes(PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "web-ca.pem"))
    said: dict[str, Any] = {"status": 200, "body": authority.bundle(), "headers": {}}

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(said["status"])
            for name, value in said["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said["body"])

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "web.pem", tmp_path / "web.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    said["url"] = f"https://localhost:{server.server_port}/bundle"
    yield said
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_bundle_is_fetched_from_its_endpoint(
    endpoint: dict[str, Any], authority: Authority, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.SPIFFE_BUNDLE_URLS = {DOMAIN: endpoint["url"]}
    found, failed = refresh()
    assert failed == []
    assert found[DOMAIN].roots == (authority.certificate,)
    for wrong in (
        {"status": 500},
        {"status": 302, "headers": {"Location": endpoint["url"]}},
        {"body": b"x" * (trust.LARGEST + 1)},
    ):
        before = {name: endpoint[name] for name in wrong}
        endpoint.update(wrong)
        assert refresh() == ({}, [DOMAIN])
        endpoint.update(before)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert refresh() == ({}, [DOMAIN])  # nobody vouches for the endpoint


class WorkloadApi(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    """As a SPIRE agent answers, to the client library of the SPIFFE project."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    def FetchX509Bundles(self, request: Any, context: Any) -> Any:
        root = self.authority.certificate.public_bytes(DER)
        yield workload_pb2.X509BundlesResponse(bundles={f"spiffe://{DOMAIN}": root})

    def FetchJWTBundles(self, request: Any, context: Any) -> Any:
        keys = [key for key in json.loads(self.authority.bundle())["keys"] if key["use"] == "jwt-svid"]
        yield workload_pb2.JWTBundlesResponse(bundles={f"spiffe://{DOMAIN}": json.dumps({"keys": keys}).encode()})


def test_bundles_come_from_the_workload_api(authority: Authority, configured: Settings, tmp_path: Path) -> None:
    configured.SPIFFE_PROVIDER = "spire"
    configured.SPIFFE_ENDPOINT_SOCKET = f"unix://{tmp_path}/agent.sock"
    assert refresh() == ({}, [DOMAIN])  # nobody answers there yet
    server = grpc.server(futures.ThreadPoolExecutor(2))
    workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(WorkloadApi(authority), server)
    server.add_insecure_port(configured.SPIFFE_ENDPOINT_SOCKET)
    server.start()
    try:
        found, failed = refresh()
    finally:
        server.stop(0).wait()
    assert failed == []
    assert found[DOMAIN].fingerprint == bundles.read(DOMAIN, authority.bundle()).fingerprint
    assert found[DOMAIN].roots[0].public_bytes(Encoding.DER) == base64.b64decode(
        json.loads(authority.bundle())["keys"][0]["x5c"][0]
    )


def test_the_mock_makes_svids_that_its_own_bundle_proves(
    configured: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured.SPIFFE_BUNDLE_DIR = ""
    configured.SPIFFE_MOCK_DIR = tmp_path / "mock"
    with pytest.raises(CommandError, match="not mock"):
        call_command("mock_svid", f"spiffe://{DOMAIN}/agent/x/development")
    configured.SPIFFE_PROVIDER = "mock"
    with pytest.raises(CommandError, match="SPIFFE_TRUST_DOMAINS"):
        call_command("mock_svid", "spiffe://other.example/agent/x")
    call_command("mock_svid", f"spiffe://{DOMAIN}/agent/x/development", "--out", str(tmp_path / "out"), "--json")
    said = json.loads(capsys.readouterr().out)
    found, _ = refresh()
    proof = svids.verify_jwt(said["jwt"], found, audience=configured.SPIFFE_AUDIENCE, now=datetime.now(UTC))
    assert str(proof.id) == f"spiffe://{DOMAIN}/agent/x/development"
    chain = x509.load_pem_x509_certificates((tmp_path / "out/svid.pem").read_bytes())
    assert svids.verify_x509(chain, found, now=datetime.now(UTC)).id == proof.id
    assert ((tmp_path / "out/svid.key").stat().st_mode & 0o077) == 0
    call_command("list_trust_bundles", "--json")
    [listed] = json.loads(capsys.readouterr().out)
    assert listed["fingerprint"] == found[DOMAIN].fingerprint


def test_a_bundle_that_cannot_be_read_ends_the_command_with_an_error(configured: Settings) -> None:
    with pytest.raises(CommandError, match=DOMAIN):
        call_command("list_trust_bundles")
