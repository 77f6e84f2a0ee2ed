"""The record of a signed review as Markdown and as PDF: pure, from what was signed."""

import re
import unicodedata
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import TTFFont

VERDICTS = {"keep": "Kept", "narrow": "Narrowed", "remove": "Removed", "gone": "Gone meanwhile"}
SUBJECTS = {"tier": "Tiers", "key": "Keys", "wanted": "Refused again and again", "agent": "The agent itself"}
MARGIN = 18  # millimetres
FONTS = Path(__file__).parent / "fonts"
FONT = "DejaVu"
INK, QUIET = (27, 30, 36), (90, 97, 112)


def sections(record: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The items by what they are about, in order; subjects without any are left out."""
    for subject, title in SUBJECTS.items():
        found = [item for item in record["items"] if item["subject"] == subject]
        if found:
            yield title, found


def facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What stands at the top: whose review, by whom, when."""
    return [
        ("Organization", record["organization"]),
        ("Agent", f"{record['name']} ({record['agent']})"),
        ("Purpose", record["purpose"] or "not written down"),
        ("Owner", record["owner"] or "nobody"),
        ("Begun", _day(record["started_at"])),
        ("Signed", f"{_day(record['signed_at'])} by {record['signed_by']}"),
        ("Review", record["review"]),
    ]


def markdown(record: Mapping[str, Any]) -> str:
    """The record as one document."""
    lines = [f"# Permission review of {_md(record['agent'])}", ""]
    lines += [f"- **{name}:** {_md(value)}" for name, value in facts(record)]
    if record["notes"]:
        lines += ["", _md(record["notes"])]
    for title, items in sections(record):
        lines += ["", f"## {title}", ""]
        for item in items:
            lines.append(f"- **{VERDICTS[item['verdict']]}:** {_md(item['words'])}")
            lines += [f"  - {_md(each)}" for each in details(item)]
    lines += ["", "## What it may do now", ""]
    lines += [f"- {_md(tier)}" for tier in record["tiers"]] or ["Nothing."]
    return "\n".join([*lines, ""])


def details(item: Mapping[str, Any]) -> list[str]:
    """What is to be said of one item below its first line."""
    found = [f"Finding: {text}" for text in item["findings"] if text != item["words"]]
    if item["became"]:
        found.append(f"It says now: {item['became']}")
    if item["reason"]:
        found.append(f"Reason: {item['reason']}{f' ({item["decided_by"]})' if item['decided_by'] else ''}")
    return found


def pdf(record: Mapping[str, Any]) -> bytes:
    """The same as a PDF (A4, in DejaVu Sans: what it cannot draw is spelled out as <U+4E2D>)."""
    page = FPDF(format="A4")
    page.add_font(FONT, "", FONTS / "DejaVuSans.ttf")
    page.add_font(FONT, "B", FONTS / "DejaVuSans-Bold.ttf")
    page.set_text_shaping(True)
    page.set_title(f"Permission review of {record['agent']}")
    page.set_creator("Warden")
    page.set_margin(MARGIN)
    page.set_auto_page_break(True, MARGIN)  # noqa: FBT003
    page.add_page()
    _line(page, f"Permission review of {record['agent']}", size=18, style="B", after=3)
    for name, value in facts(record):
        page.set_text_color(*QUIET)
        page.set_font(FONT, size=10)
        page.cell(30, 5.5, name)
        _line(page, value)
    if record["notes"]:
        _line(page, record["notes"], before=3)
    for title, items in sections(record):
        _line(page, title, size=13, style="B", before=5, after=1)
        for item in items:
            _line(page, f"{VERDICTS[item['verdict']]}: {item['words']}", style="B", before=1)
            for each in details(item):
                _line(page, each, ink=QUIET, indent=4)
    _line(page, "What it may do now", size=13, style="B", before=5, after=1)
    for tier in record["tiers"] or ["Nothing."]:
        _line(page, tier)
    return bytes(page.output())


def _line(
    page: FPDF,
    text: str,
    *,
    size: int = 10,
    style: str = "",
    ink: tuple[int, int, int] = INK,
    indent: int = 0,
    before: int = 0,
    after: int = 0,
) -> None:
    if before:  # which begins a line, be it of no height
        page.ln(before)
    page.set_font(FONT, style=style, size=size)
    page.set_text_color(*ink)
    page.set_x(page.get_x() + indent)
    assert isinstance(page.current_font, TTFFont)
    text = _drawable(text, page.current_font.cmap)
    page.multi_cell(0, size * 0.55, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")
    if after:
        page.ln(after)


def _drawable(text: str, drawn: Container[int]) -> str:
    """What the font can draw; the rest, and what cannot be seen, by its number."""
    shown = (each == "\n" or (ord(each) in drawn and not _hidden(each)) for each in text)
    return "".join(each if seen else f"<U+{ord(each):04X}>" for each, seen in zip(text, shown, strict=True))


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}


def _md(text: str) -> str:
    """One line in which nothing means anything to Markdown."""
    line = "".join(f"<U+{ord(each):04X}>" if _hidden(each) else each for each in " ".join(text.split()))
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", line)


def _day(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"
