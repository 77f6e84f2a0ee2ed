"""RFC 8785 (JCS) canonical JSON: the one form that digests and leaves are taken over."""

import json
from typing import Any

import msgspec
import rfc8785

_encode = msgspec.json.Encoder(order="sorted").encode
SAFE_INTEGER = 2**53 - 1


def _plain(value: Any) -> bool:
    """Whether the fast encoder writes `value` just as RFC 8785 does.

    It may differ for floats (1e+16, 5.0), for integers past 2^53, and in the order of keys beyond ASCII. What is not
    JSON data at all is not plain either. Written as one loop: it runs over every event.
    """
    level = [value]
    while level:
        inner = level.pop()
        kind = type(inner)
        if kind is dict:
            for key, each in inner.items():
                if type(key) is not str or not key.isascii():
                    return False
                inside = type(each)
                if inside is not str and inside is not bool and each is not None:
                    level.append(each)
        elif kind is list or kind is tuple:
            level.extend(inner)
        elif kind is int:
            if not -SAFE_INTEGER <= inner <= SAFE_INTEGER:
                return False
        elif kind is float:
            text = repr(inner)
            if "e" in text or "n" in text or text.endswith(".0"):
                return False
        elif kind is not str and kind is not bool and inner is not None:
            return False
    return True


def canonical(value: Any) -> str:
    """RFC 8785 text of JSON data.

    Raises ValueError for what has no canonical form: NaN, an infinity, an integer beyond 2^53-1, a lone surrogate.
    """
    try:
        text = (_encode(value) if _plain(value) else rfc8785.dumps(value)).decode()
    except (UnicodeEncodeError, rfc8785.CanonicalizationError, RecursionError) as error:
        raise ValueError(f"no canonical JSON: {error}") from error
    return text


def _integer(text: str) -> int | float:
    value = int(text) if len(text) <= 17 else float(text)
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else float(text)


_decode = json.JSONDecoder(parse_int=_integer).decode


def read_canonical(text: str) -> Any:
    """The data that `canonical` wrote: canonical(read_canonical(text)) == text.

    RFC 8785 writes the double 2^53 as an integer, and so it is read as a double. Raises ValueError, RecursionError.
    """
    return _decode(text)
