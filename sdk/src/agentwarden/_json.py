"""JSON, strictly: what is sent is exact, what arrives is unambiguous."""

from __future__ import annotations

import json
from typing import Any

from ._errors import ValidationError


class MalformedJSON(Exception):
    """The bytes are not one unambiguous JSON value."""


def encode(value: Any, *, what: str = "context") -> str:
    """The value as compact JSON with sorted keys, so that equal values give equal text.

    Beyond JSON's own types: Decimal (where a JSON number holds it exactly), dates (ISO 8601), UUID and Enum.
    Raises ValidationError for anything else, for NaN and infinity, lone surrogates and circles.
    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), default=_encode_other
        )
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"The {what} cannot be sent as JSON: {error}") from error
    return text


def _encode_other(value: Any) -> Any:
    # Imported here: only who uses these types pays for loading them.
    from datetime import date, datetime, time
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    if isinstance(value, Decimal):
        return _number(value, Decimal)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def _number(value: Any, decimal: Any) -> int | float:
    if not value.is_finite():
        raise ValueError(f"{value} is not a JSON number")
    if value == value.to_integral_value() and abs(value) < 2**53:
        return int(value)
    number = float(value)
    if decimal(repr(number)) != value:
        raise ValueError(f"a JSON number does not hold {value} exactly; send it as text")
    return number


def decode(body: bytes) -> Any:
    """The one JSON value in `body`; MalformedJSON for anything else, duplicate keys, NaN and 1e400 included."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise MalformedJSON(str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is more than a number holds")
    return number


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal as JSON: 50 is 50.0, but 1 is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
