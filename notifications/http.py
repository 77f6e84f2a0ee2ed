"""One request to an address that somebody typed in: to the public internet only, at the address that was checked.

Resolve → refuse what is not public → connect to exactly that address, with the name in Host and in the TLS handshake.
No redirects, no proxies of the environment, a deadline for the whole, and an answer that is cut.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEADLINE = 15.0  # seconds for everything; shorter than the lease of a delivery
CONNECT = 5.0  # seconds for each address
LARGEST = 65_536  # bytes of an answer that are read

# Where clouds keep the credentials of a machine: never, whatever is allowed.
METADATA = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class BadAddress(Exception):
    """The URL is malformed, or leads where Warden does not go. The text is for whoever typed it."""


class Unreachable(Exception):
    """No answer: refused, reset, not resolved, too late, or not HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` holds at most LARGEST bytes."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def post(url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Sends `body`. Raises BadAddress or Unreachable; any answer of the server, 500 too, is returned."""
    return request("POST", url, body=body, headers=headers)


def request(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    deadline: float = DEADLINE,
    plain: bool = False,
) -> Answer:
    """One request, to one address, within `deadline` seconds once it is checked. Raises BadAddress or Unreachable.

    `plain` lets http:// through in production too: for answers that are signed themselves.
    """
    parts = check_url(url, plain=plain)
    addresses = resolve(parts)
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    end = time.monotonic() + deadline
    connection = _connect(parts, addresses, end)
    # A server that trickles bytes is never idle for long: the clock, not the silence, ends it.
    late = threading.Event()
    watch = threading.Timer(max(end - time.monotonic(), 0.0), _hang_up, [connection, late])
    watch.daemon = True
    watch.start()
    try:
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        read = answer.read(LARGEST)
        if late.is_set():  # what was read ends where we hung up: it is no answer
            raise TimeoutError("hung up")
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)
    except (OSError, http.client.HTTPException, ValueError) as error:
        within = f" within {deadline:.0f} seconds" if late.is_set() else ""
        raise Unreachable(f"{parts.hostname} did not answer{within}: {_why(error)}") from error
    finally:
        watch.cancel()
        connection.close()


def check_url(url: str, *, plain: bool = False) -> SplitResult:
    """The parts of a URL that may be posted to. Raises BadAddress. Looks nothing up."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress("This is no URL.") from error
    if (
        url != url.strip()
        or not url.isascii()
        or any(ord(character) <= 32 or ord(character) == 127 for character in url)
    ):
        raise BadAddress("Write the URL in ASCII, without spaces (international names as xn--…).")
    allowed = ("https",) if settings.PRODUCTION and not plain else ("https", "http")
    if parts.scheme not in allowed:
        raise BadAddress(f"The URL must start with {' or '.join(f'{scheme}://' for scheme in allowed)}.")
    if not parts.hostname or port == 0:
        raise BadAddress("The URL names no host.")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("Leave the user name and password out of the URL.")
    if parts.fragment:
        raise BadAddress("Leave the #fragment out of the URL: no server sees it.")
    try:
        literal = ipaddress.ip_address(parts.hostname)
    except ValueError:
        if "[" in parts.netloc:
            raise BadAddress("The brackets hold no IPv6 address.") from None
        return parts
    check_address(literal)
    return parts


def resolve(parts: SplitResult) -> list[str]:
    """The addresses of the host, each checked: one that is refused refuses them all. Raises BadAddress, Unreachable."""
    host, port = parts.hostname or "", _port(parts)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} has no address: {_why(error)}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check_address(ipaddress.ip_address(address.partition("%")[0]))
    return addresses


def check_address(address: Address) -> None:
    """Refuses what is not on the public internet, also where it hides in an IPv6 address. Raises BadAddress."""
    for each in _faces(address):
        if any(each in network for network in METADATA if network.version == each.version):
            raise BadAddress("This address is where machines keep their credentials: never sent to.")
        if each.is_global and not each.is_multicast and not each.is_reserved and not each.is_unspecified:
            continue
        if not any(each in network for network in allowed_networks() if network.version == each.version):
            raise BadAddress(
                "This address is private. Warden sends to the public internet only; whoever runs it may allow a"
                " network in WEBHOOK_ALLOW_PRIVATE_NETWORKS."
            )


def allowed_networks() -> Sequence[Network]:
    """The private networks that whoever runs this Warden allows by name."""
    networks: Sequence[Network] = settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS
    return networks


def _faces(address: Address) -> list[Address]:
    """The address, and the IPv4 address it carries where it is one of the forms that do."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:  # ::ffff:10.0.0.1 is 10.0.0.1
        return [address.ipv4_mapped]
    if address in _NAT64:  # 64:ff9b::10.0.0.1 is carried to 10.0.0.1
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    faces: list[Address] = [address]
    if address.sixtofour:
        faces.append(address.sixtofour)
    if address.teredo:
        faces.extend(address.teredo)
    if int(address) >> 32 == 0:  # the old ::10.0.0.1
        faces.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return faces


def _connect(parts: SplitResult, addresses: list[str], end: float) -> http.client.HTTPConnection:
    """A connection to the first address that takes one by `end` (time.monotonic()).

    The certificate is checked against the name.
    """
    host, port = parts.hostname or "", _port(parts)
    problem: Exception | None = None
    for address in addresses:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            raw = socket.create_connection((address, port), timeout=min(CONNECT, left))
        except OSError as error:
            problem = error
            continue
        connection = http.client.HTTPConnection(host, parts.port or port, timeout=CONNECT)
        connection.auto_open = 0  # never a second connection, which would look the name up again
        connection.default_port = 443 if parts.scheme == "https" else 80  # the one that Host leaves out
        try:
            if parts.scheme == "https":
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        except OSError as error:
            raw.close()
            raise Unreachable(f"{host} could not be spoken to securely: {_why(error)}") from error
        raw.settimeout(DEADLINE)
        connection.sock = raw
        return connection
    raise Unreachable(f"{host} could not be reached: {_why(problem)}") from problem


def _hang_up(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself just now


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _why(error: BaseException | None) -> str:
    return (str(error) or type(error).__name__) if error else "no address"
