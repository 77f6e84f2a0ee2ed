"""RFC 8785 (JCS) canonical JSON: the one form that digests and leaves are taken over."""

import json
from typing import Any

import rfc8785

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode
SAFE_INTEGER = 2**53 - 1


def _plain(value: Any) -> bool:
    """Whether Python's own encoder writes `value` just as RFC 8785 does.

    It differs for floats (1e+16, 5.0), for integers past 2^53, and for the order of keys beyond the BMP.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-SAFE_INTEGER <= value <= SAFE_INTEGER)
    if kind is dict:
        return all(type(key) is str and key.isascii() and _plain(inner) for key, inner in value.items())
    if kind is list or kind is tuple:
        return all(map(_plain, value))
    if kind is float:
        text = repr(value)
        return "e" not in text and "n" not in text and not text.endswith(".0")
    return False


def canonical(value: Any) -> str:
    """RFC 8785 text of JSON data.

    Raises ValueError for what has no canonical form: NaN, an infinity, an integer beyond 2^53-1, a lone surrogate.
    """
    try:
        text = _encode(value) if _plain(value) else rfc8785.dumps(value).decode()
        text.encode()
    except (UnicodeEncodeError, rfc8785.CanonicalizationError, RecursionError) as error:
        raise ValueError(f"no canonical JSON: {error}") from error
    return text
