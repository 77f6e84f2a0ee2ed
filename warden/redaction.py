"""Blanks secrets in whatever is about to be written down (I11): by the name of a field, and by the form of a text."""

import re
from collections.abc import Mapping
from typing import Any

BLANK = "[redacted]"
LONGEST = 60_000  # characters of one text; patterns are tried on no more
DEPTH = 8  # of values within values; what lies deeper is judged by form alone
NAMES = re.compile(
    r"pass(word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|authorization|cookie|credential|dsn|session[_-]?(id|key)|csrf",
    re.IGNORECASE,
)
_NAME = NAMES.pattern
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), BLANK),
    # Our own: agents' keys, people's and provisioners' tokens, webhooks' secrets. Slack's tokens and webhooks. JWTs.
    (re.compile(r"\b(ak_|test_|wpat_|wprv_)[0-9A-Za-z]{12,}"), rf"\1{BLANK}"),
    (re.compile(r"\b(whsec_)[A-Za-z0-9+/=_-]{8,}"), rf"\1{BLANK}"),
    (re.compile(r"\b(xox[a-z]|xapp)-[A-Za-z0-9-]{8,}"), rf"\1-{BLANK}"),
    (re.compile(r"(hooks\.slack\.com/\w+/)[\w/-]+"), rf"\1{BLANK}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), BLANK),
    # Links that let somebody in: set-up, invitations, a new password, a new address.
    (re.compile(r"(/(?:setup|join|confirm-email|password/reset/key)/)[^/\s\"'<>]+"), rf"\1{BLANK}"),
    # user:password@host, in any URL. The password may hold anything but white space; the last @ ends it.
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]{0,200}:)[^\s/]{0,200}(?:/[^\s@]{0,200})?@", re.I),
        rf"\1{BLANK}@",
    ),
    # Headers, as text or in a repr.
    (
        re.compile(r"\b((?:proxy-)?authorization|set-cookie|cookie|x-api-key)([\"']?\s{0,3}[:=,])[^\r\n]+", re.I),
        rf"\1\2{BLANK}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s{1,3}(?=\S*\d|\S{20})[\w.~+/=-]{6,}", re.I), rf"\1 {BLANK}"),
    # name=value and "name": "value", quoted or not.
    (
        re.compile(
            rf"(\b[\w-]{{0,40}}(?:{_NAME})[\w-]{{0,40}}[\"']?\s{{0,3}}[=:]\s{{0,3}})(\"[^\"]*\"|'[^']*'|[^\s,;&)}}\]\"']+)",
            re.I,
        ),
        rf"\1{BLANK}",
    ),
)
# What could end a line, hide a part of it, or command a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def scrub(text: str) -> str:
    """`text` without what has the form of a secret."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … {len(text) - LONGEST} more characters"
    for pattern, instead in _FORMS:
        text = pattern.sub(instead, text)
    return text


def redacted(value: Any, name: str = "", depth: int = DEPTH) -> Any:
    """`value` (of a field called `name`) without secrets, at any depth."""
    if value is None or isinstance(value, bool | int | float):
        return BLANK if NAMES.search(name) and not isinstance(value, bool | None) else value
    if NAMES.search(name):
        return BLANK
    if isinstance(value, str):
        return scrub(value)
    if depth and isinstance(value, Mapping):
        return {scrub(str(key)): redacted(each, str(key), depth - 1) for key, each in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        named = _text(value[0]) if isinstance(value, tuple) and len(value) == 2 else ""  # a pair, such as a header
        return [redacted(each, named if index else "", depth - 1) for index, each in enumerate(value)]
    return scrub(value.decode("latin-1") if isinstance(value, bytes) else repr(value))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def one_line(text: str) -> str:
    """`text` with control characters written out, so that a line of the log is one line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
