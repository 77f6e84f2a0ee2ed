"""Addresses that somebody typed in: Warden sends to the public internet only, at the address that was checked.

Resolve → refuse what is not public → connect to exactly that address. Whoever runs Warden may allow private networks.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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
    host, port = parts.hostname or "", port_of(parts)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} has no address: {why(error)}") from error
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


def port_of(parts: SplitResult) -> int:
    """The port that the URL names or means."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def why(error: BaseException | None) -> str:
    """In a few words, for whoever typed the address."""
    return (re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__) if error else "no address"
