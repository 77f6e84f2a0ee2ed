"""Names of actions: `service.resource.operation`, lower case, two to six parts; and wildcards over them (`email.*`)."""

import re

MAX_LENGTH = 200
MAX_PARTS = 6
FORM = (
    "Action must be a name like 'stripe.refund.create': two to six parts joined by dots, each of lower-case letters, "
    f"digits, '_' and '-' and starting with a letter or digit, at most {MAX_LENGTH} characters"
)

_PART = r"[a-z0-9][a-z0-9_-]*"
_ACTION = re.compile(rf"{_PART}(?:\.{_PART}){{1,{MAX_PARTS - 1}}}")
_WILDCARD = re.compile(rf"{_PART}(?:\.{_PART}){{0,{MAX_PARTS - 2}}}\.\*")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def is_action(name: str) -> bool:
    """Whether an agent may ask for this name."""
    return len(name) <= MAX_LENGTH and _ACTION.fullmatch(name) is not None


def is_wildcard(name: str) -> bool:
    """Whether this is a prefix and a final `.*`; a bare `*` is not."""
    return len(name) <= MAX_LENGTH and _WILDCARD.fullmatch(name) is not None


def is_permission_name(name: str) -> bool:
    """Whether a permission may bear this name: an action or a wildcard."""
    return is_action(name) or is_wildcard(name)


def parent(name: str) -> str:
    """The name without its last part: the action whose tier this may be, or the prefix of a wildcard."""
    return name.rpartition(".")[0]


def covers(pattern: str, name: str) -> bool:
    """Whether a permission of this name speaks of that action: the same name, or a wildcard over it."""
    return pattern == name or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def is_plain(text: str) -> bool:
    """Whether a label from outside (an environment, a currency) may be repeated in a sentence for a person."""
    return _PLAIN.fullmatch(text) is not None
