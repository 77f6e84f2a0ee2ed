"""A time-stamp authority of the tests: OpenSSL's own, behind HTTP."""

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONF = """
[tsa]
default_tsa = config
[config]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/signer.pem
signer_key = {folder}/signer.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""
ROOT = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
SIGNER = (
    "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)


def openssl(*words: object, **more: Any) -> bytes:
    """Runs it. Fails, and says what to do, where there is none."""
    assert shutil.which("openssl"), "openssl is missing: install it (Debian: openssl)."
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, check=False, **more)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class TimeStampAuthority:
    """Answers at `url`; `root` vouches for it. `answers` are given first, one a request: (status, body)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.root = folder, folder / "root.pem"
        self.answers: list[tuple[int, bytes]] = []
        (folder / "tsa.conf").write_text(CONF.format(folder=folder))
        (folder / "serial").write_text("01\n")
        (folder / "root.ext").write_text(ROOT)
        (folder / "signer.ext").write_text(SIGNER)
        for name in ("root", "signer"):
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{name}.key")
            openssl(
                "req",
                "-new",
                "-key",
                folder / f"{name}.key",
                "-subj",
                f"/CN=Test {name}",
                "-out",
                folder / f"{name}.csr",
            )
        own = ("x509", "-req", "-days", "2", "-sha256")
        openssl(*own, "-in", folder / "root.csr", "-signkey", folder / "root.key", "-extfile", folder / "root.ext",
                "-out", self.root)  # fmt: skip
        openssl(*own, "-in", folder / "signer.csr", "-CA", self.root, "-CAkey", folder / "root.key", "-CAcreateserial",
                "-extfile", folder / "signer.ext", "-out", folder / "signer.pem")  # fmt: skip
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                status, body = authority.answers.pop(0) if authority.answers else (200, authority.stamp(asked))
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsr"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def stamp(self, asked: bytes) -> bytes:
        query, reply = self.folder / "query.tsq", self.folder / "reply.tsr"
        query.write_bytes(asked)
        openssl("ts", "-reply", "-config", self.folder / "tsa.conf", "-queryfile", query, "-out", reply)
        return reply.read_bytes()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
