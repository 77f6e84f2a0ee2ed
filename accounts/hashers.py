"""How passwords are hashed."""

import threading
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher

_places = threading.BoundedSemaphore(2)


class Argon2(Argon2PasswordHasher):
    """Two at a time: each takes 100 MB, and strangers may try to log in as often at once as they like."""

    def encode(self, password: str, salt: str) -> Any:
        with _places:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> Any:
        with _places:
            return super().verify(password, encoded)
