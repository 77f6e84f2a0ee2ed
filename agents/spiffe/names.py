"""SPIFFE IDs, read strictly: spiffe://trust-domain/path (SPIFFE-ID, sections 2.1 to 2.4)."""

import re
from dataclasses import dataclass

from django.core.exceptions import ValidationError

LONGEST = 2_048  # bytes
FORM = "Use the form spiffe://trust-domain/path, without port, query or fragment."
GENERIC = {"agent", "service", "workload", "app", "bot", "default", "test"}
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """One name, in its two parts. `path` begins with a slash."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}{self.path}"

    @property
    def segments(self) -> list[str]:
        return self.path[1:].split("/")

    @property
    def environment(self) -> str:
        """The last part of the recommended form /agent/<role>/<environment>; empty for another."""
        parts = self.segments
        return parts[2] if len(parts) == 3 and parts[0] == "agent" else ""

    @property
    def is_generic(self) -> bool:
        """Whether it names a kind of thing and no agent: `/agent`, `/service`."""
        return len(self.segments) == 1 and self.segments[0].lower() in GENERIC


def is_trust_domain(text: str) -> bool:
    """Whether this is the name of one trust domain; a wildcard is none."""
    return _TRUST_DOMAIN.fullmatch(text) is not None


def parse(text: str) -> SpiffeId:
    """The SPIFFE ID of a workload: one with a path. Raises ValueError, with a sentence for a person."""
    scheme, found, rest = text.partition("://")
    domain, slash, path = rest.partition("/")
    if scheme != "spiffe" or not found or not slash or len(text) > LONGEST or not is_trust_domain(domain):
        raise ValueError(FORM)
    for segment in path.split("/"):
        if segment in ("", ".", "..") or _SEGMENT.fullmatch(segment) is None:
            raise ValueError(f"{FORM} A part of the path may hold letters, digits, '.', '-' and '_'.")
    return SpiffeId(domain, f"/{path}")


def check_spiffe_id(text: str) -> None:
    """As a validator of forms and models."""
    try:
        parse(text)
    except ValueError as error:
        raise ValidationError(str(error), "invalid") from error
