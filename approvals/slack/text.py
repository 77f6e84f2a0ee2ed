"""What an agent wrote, as Slack's plain text: nothing hidden, nothing alive."""

import unicodedata

from notifications.slack.cards import escape

_DRAWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
# Invisible although their category says otherwise: fillers, variation selectors, the blank Braille cell.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_INVISIBLE.update(range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_MARKS = 3  # combining marks on one letter; more than any language writes


def drawn(text: str, *, lines: bool = False) -> str:
    """The text with every character that hides, reorders or looks like nothing spelled out: ⟨U+202E⟩; then escaped.

    With `lines` a line feed stays one, for text that has a block of its own.
    """
    out, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if character == " " or (lines and character == "\n"):
            out.append(character)
        elif category in _DRAWN or ord(character) in _INVISIBLE or marks > _MARKS:
            out.append(f"⟨U+{ord(character):04X}⟩")
        else:
            out.append(character)
    return escape("".join(out))


def laid_out(canonical: str) -> str:
    """Canonical JSON on lines of its own: only white space between its tokens is added, every other byte stays."""
    out: list[str] = []
    depth, in_string, escaped = 0, False, False
    for at, character in enumerate(canonical):
        if in_string:
            out.append(character)
            in_string, escaped = escaped or character != '"', not escaped and character == "\\"
        elif character in "{[":
            depth += 1
            is_empty = canonical[at + 1] in "}]"
            out.append(character if is_empty else f"{character}\n{'  ' * depth}")
        elif character in "}]":
            depth -= 1
            is_empty = canonical[at - 1] in "{["
            out.append(character if is_empty else f"\n{'  ' * depth}{character}")
        elif character == ",":
            out.append(f",\n{'  ' * depth}")
        else:
            in_string = character == '"'
            out.append(": " if character == ":" else character)
    return "".join(out)
