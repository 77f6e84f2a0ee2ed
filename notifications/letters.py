"""Mails of one form: text and HTML of the same words, plain enough for a phone. Nothing is remote, nothing decides."""

import unicodedata
from collections.abc import Mapping, Sequence

from django.template.loader import render_to_string

from notifications.registry import Mail

LONGEST_SUBJECT = 200
# Invisible although their category says otherwise: fillers, variation selectors, the blank Braille cell.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)}


def letter(
    *,
    subject: str,
    opening: str,
    facts: Mapping[str, str],
    links: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
    test: bool = False,
) -> Mail:
    """One mail. What others wrote must have gone through plain() before; HTML escapes all of it again."""
    subject = f"[Test] {subject}" if test else subject
    if test:
        notes = ["This is a test: nothing live depends on it.", *notes]
    said = {name: value for name, value in facts.items() if value}
    width = max((len(name) for name in said), default=0) + 2
    lines = [f"{name + ':':<{width}}{value}" for name, value in said.items()]
    pointers = [f"{words}: {link}" for words, link in links]
    text = "\n".join([opening, "", *lines, *([""] if lines else []), *pointers, "", *notes, ""])
    html = render_to_string(
        "mail/letter.html", {"subject": subject, "opening": opening, "facts": said, "links": links, "notes": notes}
    )
    return Mail(subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 1]}…", text, html)


def plain(text: str) -> str:
    """One line of plain text in which nothing is invisible: control and format characters are spelled out.

    Mail programs make links of what looks like one: `https://` becomes `https[:]//`, so that only our own links work.
    """
    return "".join(_draw(character) for character in text).replace("://", "[:]//")


def _draw(character: str) -> str:
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return f"⟨U+{ord(character):04X}⟩" if hidden or ord(character) in _INVISIBLE else character
