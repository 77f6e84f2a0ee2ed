"""Where Warden sends: the public internet, at the address that was checked; nowhere else, however it is written."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from notifications import http
from tests.notifications.conftest import Receiver

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "169.254.169.254", "0.0.0.0",
    "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "192.0.2.1", "203.0.113.7", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(http.BadAddress):
        http.check_address(ipaddress.ip_address(address))
    shown = f"[{address}]" if ":" in address else address
    with pytest.raises(http.BadAddress):
        http.check_url(f"http://{shown}/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    http.check_address(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "", "https://", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)",
        "//example.com/", "example.com", "https://user@example.com/", "https://user:pass@example.com/",
        "https://example.com@127.0.0.1/", "https://example.com/#fragment", "https://example.com:0/",
        "https://example.com:99999/", "https://exa mple.com/", "https://example.com/\r\nHost: evil", " https://example.com/",
        "https://example.com/\tx", "https://ex\u00e4mple.com/", "https://example.com/\x00", "https://[::1", "https://[v1.x]/",
    ],
)  # fmt: skip
def test_a_url_that_is_more_or_less_than_an_address_is_refused(url: str) -> None:
    with pytest.raises(http.BadAddress):
        http.check_url(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "0"])
def test_other_ways_to_write_this_machine_are_seen_through(host: str) -> None:
    with pytest.raises((http.BadAddress, http.Unreachable)):
        http.post(f"http://{host}:9/", body=b"", headers={})


def test_production_wants_https(settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(http.BadAddress, match="https"):
        http.check_url("http://example.com/")
    http.check_url("https://example.com/")


def test_credentials_of_clouds_are_never_reached_whatever_is_allowed(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    for address in ("169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1"):
        with pytest.raises(http.BadAddress, match="credentials"):
            http.check_address(ipaddress.ip_address(address))
    http.check_address(ipaddress.ip_address("10.0.0.1"))


class Resolver:
    """Stands in for the name service, at the socket's edge: each look-up gets the next answer."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebinding.example":
            return self.real(host, port, *args, **kwargs)
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


def test_a_name_is_looked_up_once_and_the_checked_address_is_the_one_spoken_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    port = receiver.server.server_port
    answer = http.post(f"http://rebinding.example:{port}/x", body=b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status, answer.body) == (200, b"thanks")
    assert resolver.asked == 1
    assert receiver.received[0].headers["host"] == f"rebinding.example:{port}"


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["93.184.215.14", "10.0.0.1"]))
    with pytest.raises(http.BadAddress):
        http.post("http://rebinding.example/", body=b"", headers={})


def test_a_name_without_addresses_is_no_crash() -> None:
    with pytest.raises(http.Unreachable, match="no address"):
        http.post("http://no-such-host.invalid/", body=b"", headers={})


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert http.post(receiver.url, body=b"{}", headers={}).status == 200


def test_a_long_answer_is_cut(receiver: Receiver) -> None:
    receiver.answers = [(200, {}, b"x" * 200_000)]
    assert len(http.post(receiver.url, body=b"", headers={}).body) == http.LARGEST


@pytest.fixture
def dripping(receiver: Receiver) -> Iterator[int]:
    """A server that says one byte of a header every tenth of a second, for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not done.wait(0.1):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    done.set()
    thread.join()
    listening.close()


def test_a_server_that_drips_is_hung_up_on(dripping: int) -> None:
    started = time.monotonic()
    with pytest.raises(http.Unreachable, match="within 1 seconds"):
        http.request("POST", f"http://127.0.0.1:{dripping}/", body=b"", deadline=1)
    assert time.monotonic() - started < 3


def test_a_server_that_speaks_no_http_is_no_crash(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def babble() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"\x00\xff SMTP? no\r\n\r\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        with pytest.raises(http.Unreachable):
            http.post(f"http://127.0.0.1:{listening.getsockname()[1]}/", body=b"", headers={})
        thread.join()


def test_a_certificate_for_another_name_is_refused(receiver: Receiver) -> None:
    with pytest.raises(http.Unreachable):
        http.post(receiver.url.replace("http:", "https:"), body=b"", headers={})
