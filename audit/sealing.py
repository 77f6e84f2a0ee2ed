"""What of a context is kept only withheld or encrypted, before it is stored: pure, over plain data.

A covered value is replaced by an object whose one name is MARK, which nothing from outside may contain:

    {"$warden": ["withheld", KEY, HMAC]}           the value is kept nowhere
    {"$warden": ["encrypted", KEY, CIPHERTEXT]}    AES-SIV (RFC 5297) of its canonical JSON, padded with spaces

KEY names the data key of one subject (audit.subjects). Both forms are functions of organization, place, value and key:
the same request is stored, digested and hashed into its leaf the same way each time, and without the key neither says
what the value was, not even to who tries all values there can be.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from audit.canonical import canonical, read_canonical

MARK = "$warden"
WITHHELD, ENCRYPTED, ERASED = "withheld", "encrypted", "erased"
ANY = "*"  # in a path: each name of an object, each item of a list
BLOCK = 32  # bytes: shorter differences in length do not show
SECRET = 64  # bytes of a data key

type Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with the values at `path`. `subject` is where the context says whose they are; empty: nobody's."""

    path: tuple[str, ...]
    treatment: Literal["redact", "encrypt"]
    subject: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """The data key of one subject."""

    id: uuid.UUID
    secret: bytes


def is_marked(text: str) -> bool:
    """Whether JSON text may hold a mark: cheap, and never wrong where it says no."""
    return MARK in text


def subject_of(rule: Rule, context: Mapping[str, Any]) -> str:
    """Whose the values are, by this context; empty where it does not say so by a text or a whole number."""
    value: Any = context if rule.subject else ""
    for name in rule.subject:
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def subjects(rules: Sequence[Rule], context: dict[str, Any]) -> set[str]:
    """Whose keys `seal` needs; empty where nothing is covered. The empty text is the organization itself."""
    return {subject_of(rule, context) for rule in rules if next(_places(context, rule.path, ()), None) is not None}


def seal(
    organization: uuid.UUID, rules: Sequence[Rule], context: dict[str, Any], keys: Mapping[str, Key]
) -> dict[str, Any]:
    """The context as it is stored. `keys` are of `subjects(rules, context)`.

    What is to be encrypted is withheld where the context does not say whose it is: nobody could have it erased.
    """
    stored = context
    # What is withheld first, so that nothing encrypted holds it; what is larger first, so that each is sealed once.
    for rule in sorted(rules, key=lambda rule: (rule.treatment != "redact", len(rule.path))):
        subject = subject_of(rule, context)
        for place in list(_places(stored, rule.path, ())):
            key = keys[subject]
            encrypts = rule.treatment == "encrypt" and bool(subject)
            change = _encrypted if encrypts else _withheld
            stored = _replaced(stored, place, lambda value, at=place: change(organization, at, value, key))  # type: ignore[misc] # noqa: B023
    return stored


def _places(value: Any, path: Sequence[str], at: Place) -> Iterator[Place]:
    if not path:
        if not _is_mark(value):
            yield at
        return
    name, rest = path[0], path[1:]
    if isinstance(value, dict) and not _is_mark(value):
        for each in value if name == ANY else [name] if name in value else []:
            yield from _places(value[each], rest, (*at, each))
    elif isinstance(value, list) and name == ANY:
        for number, item in enumerate(value):
            yield from _places(item, rest, (*at, number))


def _replaced(value: Any, place: Place, change: Callable[[Any], Any]) -> Any:
    """A copy in which what is at `place` is changed."""
    if not place:
        return change(value)
    copy = value.copy()
    copy[place[0]] = _replaced(value[place[0]], place[1:], change)
    return copy


def _is_mark(value: Any) -> bool:
    return isinstance(value, dict) and MARK in value


def _associated(organization: uuid.UUID, place: Place) -> bytes:
    return organization.bytes + canonical(list(place)).encode()


def _withheld(organization: uuid.UUID, place: Place, value: Any, key: Key) -> dict[str, Any]:
    said = _associated(organization, place) + b"\n" + canonical(value).encode()
    return _mark(WITHHELD, key, hmac.digest(hashlib.sha256(b"withheld" + key.secret).digest(), said, "sha256"))


def _encrypted(organization: uuid.UUID, place: Place, value: Any, key: Key) -> dict[str, Any]:
    text = canonical(value).encode()
    text += b" " * (-len(text) % BLOCK)
    return _mark(ENCRYPTED, key, AESSIV(key.secret).encrypt(text, [_associated(organization, place)]))


def _mark(kind: str, key: Key, data: bytes) -> dict[str, Any]:
    return {MARK: [kind, str(key.id), base64.b64encode(data).decode()]}


def keys_in(value: Any) -> set[uuid.UUID]:
    """The keys that stored data names."""
    found: set[uuid.UUID] = set()
    level = [value]
    while level:
        inner = level.pop()
        if _is_mark(inner):
            kind, key, _ = _read(inner)
            if kind == ENCRYPTED and key:
                found.add(key)
        elif isinstance(inner, dict):
            level.extend(inner.values())
        elif isinstance(inner, list):
            level.extend(inner)
    return found


def _read(mark: dict[str, Any]) -> tuple[str, uuid.UUID | None, bytes]:
    said = mark[MARK]
    try:
        kind, key, data = said
        return str(kind), uuid.UUID(key), base64.b64decode(data, validate=True)
    except (ValueError, TypeError, AttributeError):
        return str(said), None, b""


def reveal(organization: uuid.UUID, stored: Any, keys: Mapping[uuid.UUID, Key]) -> Any:
    """What can be decrypted, decrypted; else `{"$warden": "withheld"}`, or "erased": no key is left."""
    return _revealed(organization, stored, keys, ())


def _revealed(organization: uuid.UUID, value: Any, keys: Mapping[uuid.UUID, Key], at: Place) -> Any:
    if _is_mark(value):
        kind, key_id, data = _read(value)
        if kind != ENCRYPTED:
            return {MARK: kind if kind in (WITHHELD, ERASED) else ERASED}
        key = keys.get(key_id) if key_id else None
        if key is None:
            return {MARK: ERASED}
        try:
            text = AESSIV(key.secret).decrypt(data, [_associated(organization, at)]).decode()
        except InvalidTag:  # it was moved here from elsewhere
            return {MARK: ERASED}
        return _revealed(organization, read_canonical(text), keys, at)
    if isinstance(value, dict):
        return {name: _revealed(organization, item, keys, (*at, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_revealed(organization, item, keys, (*at, number)) for number, item in enumerate(value)]
    return value


def marks(value: Any, at: Place = ()) -> Iterator[tuple[str, str]]:
    """The marks that data holds: where, as customer.email, and the kind: withheld, encrypted, erased."""
    if _is_mark(value):
        yield ".".join(map(str, at)), _read(value)[0]
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from marks(item, (*at, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from marks(item, (*at, number))


def marked_as_erased(value: Any, left: set[uuid.UUID]) -> Any:
    """Stored data to be looked at without its values: marks whose key is not `left` say so."""
    if _is_mark(value):
        kind, key, _ = _read(value)
        return {MARK: kind if kind != ENCRYPTED or key in left else ERASED}
    if isinstance(value, dict):
        return {name: marked_as_erased(item, left) for name, item in value.items()}
    if isinstance(value, list):
        return [marked_as_erased(item, left) for item in value]
    return value
