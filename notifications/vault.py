"""Secrets at rest: sealed with a key derived from SECRET_KEY, opened by it or by any of SECRET_KEY_FALLBACKS."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unopenable(Exception):
    """No key we have opens this: SECRET_KEY changed without keeping the old one in SECRET_KEY_FALLBACKS."""


def _fernet() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = [HKDF(SHA256(), 32, None, b"warden.notifications.vault").derive(key.encode()) for key in keys]
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in derived])


def seal(secret: str) -> str:
    """The secret, encrypted and authenticated; an empty one stays empty."""
    return _fernet().encrypt(secret.encode()).decode() if secret else ""


def unseal(sealed: str) -> str:
    """The secret again. Raises Unopenable."""
    if not sealed:
        return ""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unopenable("SECRET_KEY changed: enter this secret again") from error
