"""A real rsyslogd of this machine, receiving over TLS into a file; and an authority that vouches for it."""

import datetime
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.server import free_port

USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
MISSING = (
    "rsyslogd with TLS is missing. script/test installs it where it may use apt; elsewhere install rsyslog and"
    " rsyslog-gnutls, or set RSYSLOGD to its path."
)


def rsyslogd() -> str:
    """The path of rsyslogd. Fails, and says what to do, where there is none."""
    found = os.environ.get("RSYSLOGD") or shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found, MISSING
    return found


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        signs = dict.fromkeys(USES, False) | {"key_cert_sign": True, "crl_sign": True}
        mine: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (x509.KeyUsage(**signs), True),
            (x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False),
        ]
        self._certificate = self._sign(self._name, self._key, mine)
        self.file = folder / "authority.pem"
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.file.write_text(self.pem)

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: list[tuple[x509.ExtensionType, bool]]
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str) -> tuple[str, str]:
        """A certificate for `name`, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = self._sign(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key,
            [
                (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
                (x509.ExtendedKeyUsage(usages), False),
                (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
            ],
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


CONF = """
global(workDirectory="{folder}" maxMessageSize="64k"
    defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{authority}"
    defaultNetstreamDriverCertFile="{folder}/server.pem" defaultNetstreamDriverKeyFile="{folder}/server.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="{mode}" streamDriver.authMode="{auth}")
template(name="whole" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{folder}/received.log" template="whole" asyncWriting="off" flushOnTXEnd="on")
"""


class Rsyslog:
    """The process. `start` and `end` may come in any order; what it received is in one file."""

    def __init__(self, authority: Authority, *, tls: bool = True, clients: bool = False) -> None:
        self.folder, self.port = authority.folder, free_port()
        self.received = self.folder / "received.log"
        self.process: subprocess.Popen[bytes] | None = None
        certificate, key = authority.issue("localhost")
        (self.folder / "server.pem").write_text(certificate)
        (self.folder / "server.key").write_text(key)
        values = {"folder": self.folder, "authority": authority.file, "port": self.port, "mode": int(tls)}
        text = CONF.format(**values, auth="x509/certvalid" if clients else "anon")
        (self.folder / "rsyslog.conf").write_text(text)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def start(self) -> None:
        with (self.folder / "rsyslogd.log").open("ab") as out:
            self.process = subprocess.Popen(
                [rsyslogd(), "-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "rsyslogd.pid")],
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self.process.poll() is None, (self.folder / "rsyslogd.log").read_text()
            assert time.monotonic() < deadline, (
                f"rsyslogd does not listen: {(self.folder / 'rsyslogd.log').read_text()}"
            )
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)
        (self.folder / "rsyslogd.pid").unlink(missing_ok=True)

    def lines(self) -> list[str]:
        return self.received.read_text(errors="replace").splitlines() if self.received.exists() else []
