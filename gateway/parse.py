"""Agents' JSON, read strictly: what is judged, stored, shown and digested is one and the same value.

Refused, with the place said: duplicate keys, NaN and infinities, numbers that a double cannot hold exactly (RFC 7493,
2.2), lone surrogates, nesting beyond DEPTH, more than VALUES values (each takes its time, and nobody can review them).
"""

import json
import re
from decimal import Decimal
from typing import Any

import msgspec

from audit.canonical import SAFE_INTEGER

DEPTH = 64
VALUES = 5_000
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


class Malformed(ValueError):
    """The body cannot be taken; the message says where and why, for the agent's developer."""


def _integer(text: str) -> int:
    if len(text) > 17 or not -SAFE_INTEGER <= (value := int(text)) <= SAFE_INTEGER:
        raise Malformed(f"The number {text[:24]} is too large to be exact in JSON; send it as a string")
    return value


def _number(text: str) -> int | float:
    value = float(text)
    if value - value != 0:
        raise Malformed(f"The number {text[:24]} is not finite")
    if len(text) > 400 or Decimal(text) != Decimal(repr(value)):
        raise Malformed(f"The number {text[:24]} has more digits than JSON keeps; send it as a string")
    # 49.0 and 49 are one number, and one canonical form.
    return int(value) if value.is_integer() and -SAFE_INTEGER <= value <= SAFE_INTEGER else value


def _constant(text: str) -> Any:
    raise Malformed(f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Malformed(f"The key {key[:80]!r} stands twice in one object")
            seen.add(key)
    return value


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant
).decode


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        if deepest > DEPTH:
            break
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return deepest


def parse(body: bytes) -> Any:
    """The value of a JSON body. Raises Malformed."""
    if body.count(b",") >= VALUES and _TEXTS.sub(b"", body).count(b",") >= VALUES:
        raise Malformed(f"The body holds more than {VALUES:,} values")
    try:
        text = body.decode()
        value = _decode(text)
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise Malformed(f"The body is nested more than {DEPTH} deep") from error
    if text.count("{") + text.count("[") > DEPTH and _depth(value) > DEPTH:
        raise Malformed(f"The body is nested more than {DEPTH} deep")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Malformed("The body has half of a surrogate pair") from error
    return value


def read[T](body: bytes, form: type[T]) -> T:
    """The body as a `form` (a msgspec struct). Raises Malformed, naming the field."""
    try:
        return msgspec.convert(parse(body), form, strict=True)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise Malformed(f"{place.rstrip('`')}: {message}" if place else message) from error
