"""Keys and tokens with a checksum: a typo or a fake is refused before any look-up, and scanners can match them."""

import hashlib
import secrets
import string
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
LENGTH = 40


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    letters = []
    for _ in range(6):
        number, value = divmod(number, 62)
        letters.append(BASE62[value])
    return "".join(reversed(letters))


def new_secret(prefix: str) -> str:
    """`prefix`, random base 62, and a CRC-32 in base 62 as the last six: 40 characters, 180 bits and more."""
    body = prefix + "".join(secrets.choice(BASE62) for _ in range(LENGTH - len(prefix) - 6))
    return body + _checksum(body)


def is_well_formed(text: str, *prefixes: str) -> bool:
    """Whether `text` could be one of ours: form and checksum only."""
    return len(text) == LENGTH and text.startswith(prefixes) and text.isascii() and _checksum(text[:-6]) == text[-6:]


def hash_secret(text: str) -> bytes:
    """SHA-256. Fast is right here: the secret has 180 random bits, there is nothing to guess."""
    return hashlib.sha256(text.encode()).digest()
