"""Text written by an agent, made harmless to read.

An agent may try to make a person approve something other than what it shows: hidden characters, reversed text,
letters that look like other letters. Nothing is removed and nothing is interpreted; what cannot be seen is drawn.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

from django.utils.html import escape

_DRAWN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
# Invisible although their category says otherwise: fillers, variation selectors, the blank Braille cell.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_INVISIBLE.update(range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_MAX_MARKS = 3  # combining marks on one letter; more than any language writes, so the rest are drawn apart

_CONTROL_NAMES = {
    0x00: "NULL", 0x07: "BELL", 0x08: "BACKSPACE", 0x09: "TAB", 0x0A: "LINE FEED", 0x0B: "VERTICAL TAB",
    0x0C: "FORM FEED", 0x0D: "CARRIAGE RETURN", 0x1B: "ESCAPE", 0x7F: "DELETE", 0x85: "NEXT LINE",
}  # fmt: skip

_SCRIPTS = {
    "LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "GEORGIAN", "CHEROKEE", "COPTIC", "DEVANAGARI",
    "BENGALI", "TAMIL", "TELUGU", "THAI", "LAO", "ETHIOPIC", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "CJK",
    "LISU", "OLD", "DESERET", "OSAGE", "TIFINAGH", "CANADIAN", "RUNIC", "GOTHIC",
}  # fmt: skip
# East Asian scripts are written together, and with Latin, in ordinary words (UTS #39, "highly restrictive").
_EAST_ASIAN = {"HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "CJK"}
_LOOKS_LATIN = {
    "CYRILLIC": frozenset("асеорхуѕіјһԁԛԝӏАВЕКМНОРСТХУЅІЈԌԜ"),
    "GREEK": frozenset("οναικρυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"),
}
_WORD = re.compile(r"\w+")


def draw(text: str, *, escapes: Mapping[str, str] | None = None) -> str:
    """Return *text* as safe HTML in which every character can be seen; ``escapes`` writes single characters otherwise.

    Line feeds stay line feeds unless *escapes* names them.
    """
    escapes = escapes or {}
    if text.isascii() and text.replace("\n", "").isprintable() and not escapes.keys() & set(text):
        return escape(text)
    suspects = {match.span(): note for match, note in _suspect_words(text)}
    parts: list[str] = []
    at = 0
    for (start, end), note in suspects.items():
        parts.append(_draw_run(text[at:start], escapes))
        parts.append(
            f'<span class="mixed" title="{escape(note)}">{_draw_run(text[start:end], escapes)}</span>'
            f'<span class="mixed-note">{escape(note)}</span>'
        )
        at = end
    parts.append(_draw_run(text[at:], escapes))
    return "".join(parts)


def is_drawn(character: str) -> bool:
    """Whether *character* would be invisible, ambiguous or active if it were printed as it is."""
    if character in " \n":
        return False
    return unicodedata.category(character) in _DRAWN_CATEGORIES or ord(character) in _INVISIBLE


def _draw_run(text: str, escapes: Mapping[str, str]) -> str:
    out: list[str] = []
    marks, has_base = 0, False
    for character in text:
        if character in escapes:
            out.append(f'<span class="esc">{escape(escapes[character])}</span>')
            marks, has_base = 0, False
        elif unicodedata.category(character) in {"Mn", "Me"} and ord(character) not in _INVISIBLE:
            marks += 1
            out.append(character if has_base and marks <= _MAX_MARKS else _box(character))
        elif is_drawn(character):
            out.append(_box(character))
            marks, has_base = 0, False
        else:
            out.append(escape(character))
            marks, has_base = 0, character != "\n"
    return "".join(out)


def _box(character: str) -> str:
    point = ord(character)
    name = unicodedata.name(character, "") or _CONTROL_NAMES.get(point, "UNNAMED CHARACTER")
    return f'<span class="cp" title="{escape(name)}">⟨U+{point:04X}⟩</span>'


@lru_cache(maxsize=4096)
def _script(letter: str) -> str | None:
    if not unicodedata.category(letter).startswith("L"):
        return None
    name = unicodedata.name(letter, "").split(" ", 1)[0]
    return name if name in _SCRIPTS else None


def _suspect_words(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield the words that may not be what they look like, each with what is odd about it."""
    if text.isascii():
        return
    native = {_script(letter) for letter in set(text) if letter not in _LOOKS_LATIN.get(_script(letter) or "", ())}
    for match in _WORD.finditer(text):
        word = match.group()
        if word.isascii():
            continue
        scripts = {script for letter in word if (script := _script(letter))}
        if len(scripts) > 1 and not scripts <= _EAST_ASIAN | {"LATIN"}:
            yield match, "mixes " + " and ".join(sorted(script.capitalize() for script in scripts))
        elif any(_is_styled(character) for character in word):
            yield match, "look-alike letters"
        elif len(word) > 1 and len(scripts) == 1 and scripts <= _LOOKS_LATIN.keys() - native:
            # A whole word of Cyrillic letters that all look Latin, in a text with no other Cyrillic.
            yield match, f"{scripts.pop().capitalize()} letters that look Latin"


@lru_cache(maxsize=4096)
def _is_styled(character: str) -> bool:
    """Mathematical, full-width and similar copies of plain letters and digits: 𝐩𝐚𝐲, ｐａｙ."""
    if character.isascii() or unicodedata.category(character) not in {"Lu", "Ll", "Lo", "Nd"}:
        return False
    plain = unicodedata.normalize("NFKC", character)
    return len(plain) == 1 and plain.isascii() and "ORDINAL" not in unicodedata.name(character, "")
