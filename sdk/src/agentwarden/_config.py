"""The settings of a client, checked once, when it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ._errors import ValidationError
from ._retry import RetryPolicy

LONGEST_CACHE_TTL = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client was told. The key is left out of the repr."""

    api_key: str = field(repr=False)
    base_url: str
    timeout: float
    retry: RetryPolicy
    fail_open_actions: frozenset[str]
    cache_ttl: float
    cache_size: int

    @property
    def local(self) -> bool:
        """Plain http, which is allowed to this machine alone; no proxy may then come between."""
        return self.base_url.startswith("http://")

    def redact(self, text: str) -> str:
        """The text without the key, whoever put it there."""
        return text.replace(self.api_key, "[key]")


def settings(
    api_key: str | None,
    base_url: str | None,
    *,
    timeout: float,
    max_retries: int,
    backoff: float,
    fail_open_actions: Iterable[str],
    cache_ttl: float,
    cache_size: int,
) -> Settings:
    """Read what is missing from the environment and refuse, with a ValidationError, what cannot work."""
    if isinstance(fail_open_actions, str):
        raise ValidationError("fail_open_actions is a set of exact action names, not one text")
    actions = frozenset(fail_open_actions)
    for action in actions:
        if not isinstance(action, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]+", action):
            raise ValidationError(f"fail_open_actions names exact actions, without wildcards: {action!r} is none")
    return Settings(
        api_key=_key(api_key if api_key is not None else os.environ.get("AGENTWARDEN_API_KEY")),
        base_url=clean_url(base_url if base_url is not None else os.environ.get("AGENTWARDEN_BASE_URL")),
        timeout=_number("timeout", timeout, above=0, most=600),
        retry=RetryPolicy(
            retries=int(_number("max_retries", max_retries, least=0, most=20)),
            base=_number("backoff", backoff, least=0, most=60),
        ),
        fail_open_actions=actions,
        cache_ttl=_number("cache_ttl", cache_ttl, least=0, most=LONGEST_CACHE_TTL),
        cache_size=int(_number("cache_size", cache_size, least=1, most=1_000_000)),
    )


def _key(value: str | None) -> str:
    value = (value or "").strip()
    if not value:
        raise ValidationError("No API key: pass api_key=… or set AGENTWARDEN_API_KEY")
    if not re.fullmatch(r"[\x21-\x7e]{8,4096}", value):
        # The value itself stays out of the message: it may be a real key with one slip in it.
        raise ValidationError("The API key is malformed: 8 or more printable ASCII characters without spaces")
    return value


def clean_url(value: str | None) -> str:
    """The address without a slash at its end. Raises ValidationError for one that keys must not be sent to."""
    value = (value or "").strip()
    if not value:
        raise ValidationError("No server: pass base_url=… or set AGENTWARDEN_BASE_URL (https://warden.example.com)")
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise ValidationError(f"base_url is not a URL: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise ValidationError("base_url must not hold a user name or password")
    if parts.query or parts.fragment or not host or re.search(r"[\s\x00-\x1f\x7f\\]", value):
        raise ValidationError("base_url is a scheme, a host and at most a path: https://warden.example.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_local(host)):
        raise ValidationError("base_url must be https://… (http only to localhost): keys must not travel in the clear")
    return value.rstrip("/")


def _is_local(host: str) -> bool:
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host, re.ASCII) is not None


def _number(name: str, value: float, *, least: float | None = None, above: float | None = None, most: float) -> float:
    good = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (least is None or value >= least)
        and (above is None or value > above)
        and value <= most
    )
    if not good:
        bound = f"more than {above:g}" if above is not None else f"at least {least:g}"
        raise ValidationError(f"{name} is a number, {bound} and at most {most:g}; not {value!r}")
    return value
