"""Draw a JSON value as a tree in which every character can be reached."""

import json
from decimal import Decimal
from typing import Any

from django.utils.html import escape

from warden.templatetags.hostile import draw

_INLINE = 160  # characters; a longer string gets a block of its own, with scroll bars and its length
_OPEN_DEPTH, _OPEN_ITEMS = 4, 60  # what is deeper or longer starts folded
_FLAT_DEPTH = 40  # deeper than this is written out flat, so that no input can exhaust the stack
_COVERED = {  # audit.sealing: nothing from outside bears this name
    "withheld": "withheld: stored nowhere",
    "encrypted": "encrypted",
    "erased": "erased",
}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def draw_payload(value: Any) -> str:
    """Return safe HTML for a JSON *value*: foldable objects and lists, full strings, counts."""
    return f'<div class="payload">{_draw(value, 0)}</div>'


def _draw(value: Any, depth: int, label: str = "") -> str:
    match value:
        case str():
            return label + _string(value)
        case {"$warden": [str(kind), *_]} | {"$warden": str(kind)} if kind in _COVERED:
            return f'{label}<span class="covered">{_COVERED[kind]}</span>'
        case dict() | list() | tuple() if not value:
            return label + ("{}" if isinstance(value, dict) else "[]")
        case dict() | list() | tuple() if depth >= _FLAT_DEPTH:
            return label + _block(json.dumps(value, ensure_ascii=False, default=str), "nested too deeply to fold")
        case dict():
            return _branch(label + "{", "}", "key", [(_key(key), item) for key, item in value.items()], depth)
        case list() | tuple():
            return _branch(label + "[", "]", "item", [("", item) for item in value], depth)
        case None:
            return f'{label}<span class="nil">null</span>'
        case Decimal():
            return f'{label}<span class="lit">{value}</span>'
        case _:
            return f'{label}<span class="lit">{escape(json.dumps(value, default=str))}</span>'


def _branch(left: str, right: str, noun: str, items: list[tuple[str, Any]], depth: int) -> str:
    is_open = " open" if depth < _OPEN_DEPTH and len(items) <= _OPEN_ITEMS else ""
    count = f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"
    lines = "".join(f"<li>{_draw(item, depth + 1, label)}</li>" for label, item in items)
    summary = f'<summary>{left} <span class="size">{count}</span></summary>'
    return f"<details{is_open}>{summary}<ul>{lines}</ul>{right}</details>"


def _key(key: object) -> str:
    return f'<span class="key">"{draw(str(key), escapes=_ESCAPES)}"</span>: '


def _string(value: str) -> str:
    if len(value) > _INLINE:
        return _block(value, f"{len(value):,} characters")
    return f'<span class="str">"{draw(value, escapes=_ESCAPES)}"</span>'


def _block(text: str, note: str) -> str:
    # tabindex: a box that scrolls must be reachable from the keyboard.
    return (
        f'<span class="size">{note}</span>'
        f'<span class="long" tabindex="0" role="group" aria-label="{note}">{draw(text)}</span>'
    )
