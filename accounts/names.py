"""Names that people give themselves and their things: shown to others, in places that only escape."""

import unicodedata

_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji need them


def clean_name(text: str, longest: int) -> str:
    """`text` with single spaces, at most `longest` characters, and nothing that hides or turns what stands around it.

    Control characters, bidirectional overrides, zero-width spaces, private and unassigned ones are left out.
    """
    seen = "".join(" " if letter.isspace() else letter for letter in text)
    kept = [each for each in seen if each in _JOINERS or not unicodedata.category(each).startswith("C")]
    return " ".join("".join(kept).split())[:longest].strip()
