"""Reads settings from the environment, strictly.

Nothing here raises: a missing or malformed value becomes a `Problem`, so that a start with three mistakes names all
three. `warden.checks` turns problems into system-check errors, and no server or worker starts while one is left.
"""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one environment variable, and how to mend it."""

    name: str
    message: str
    hint: str


problems: list[Problem] = []


def _problem(name: str, message: str, hint: str) -> None:
    problems.append(Problem(name, message, hint))


def raw(name: str) -> str | None:
    """The value of `name`, or the content of the file that `name`_FILE points to (for mounted secrets)."""
    value = os.environ.get(name)
    file = os.environ.get(f"{name}_FILE")
    if value is not None and file:
        _problem(name, f"{name} and {name}_FILE are both set.", "Set one of them.")
    if value is None and file:
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            _problem(f"{name}_FILE", f"{name}_FILE cannot be read: {error.strerror}.", "Point it at a readable file.")
    return value


def text(name: str, default: str | None = None, *, hint: str = "") -> str:
    """A string; without a default it is required."""
    value = raw(name)
    if value is not None:
        return value
    if default is None:
        _problem(
            name, f"{name} is not set.", hint or f"Set {name}, or {name}_FILE to the path of a file that holds it."
        )
        return ""
    return default


def boolean(name: str, default: bool) -> bool:
    """1/true/yes/on or 0/false/no/off; anything else is a problem, never a guess."""
    value = raw(name)
    if value is None:
        return default
    if value.lower() in TRUE:
        return True
    if value.lower() not in FALSE:
        _problem(name, f"{name} is {value!r}, which is neither true nor false.", "Use true or false.")
    return False


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    value = raw(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        _problem(name, f"{name} is {value!r}.", f"Use a whole number from {low} to {high}.")
        return default
    return int(value)


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """One of `choices`."""
    value = raw(name)
    if value is None:
        return default
    if value not in choices:
        _problem(name, f"{name} is {value!r}.", f"Use one of: {', '.join(choices)}.")
        return default
    return value


def words(name: str, default: str = "") -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in (raw(name) or default).split(",") if word.strip()]


def url(name: str, default: str | None, *, schemes: tuple[str, ...], hint: str) -> str:
    """A URL of one of `schemes`."""
    value = raw(name)
    if value is None and default is not None:
        return default
    if value is None:
        _problem(name, f"{name} is not set.", hint)
        return ""
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        scheme = ""
    if scheme not in schemes:
        _problem(name, f"{name} is not a URL that starts with {' or '.join(f'{s}:' for s in schemes)}.", hint)
        return ""
    return value


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Comma-separated networks, such as 10.0.0.0/8; one that is none is a problem."""
    found = []
    for word in words(name):
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as error:
            _problem(name, f"{name}: {error}.", "Use networks with commas between them, such as 10.1.0.0/16.")
    return found
