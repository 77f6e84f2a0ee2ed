"""Reads the documentation the way its tests need it: tables as rows of plain cells, fenced blocks by their label."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(\S+)?(?: +(.+?))? *\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """One fenced block: ```json CheckBody is of language `json` with the label `CheckBody`."""

    language: str
    label: str
    text: str


def read(name: str) -> str:
    """A document, by its path in the repository."""
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[Block]:
    """The fenced blocks of one language, in order."""
    found = [Block(match[1] or "", match[2] or "", match[3]) for match in _FENCE.finditer(read(name))]
    return [block for block in found if block.language == language]


def tables(name: str) -> list[list[dict[str, str]]]:
    """Every table as a list of rows, each a dict by column; a cell that is one piece of code loses its backticks."""
    found, lines = [], [*_FENCE.sub("", read(name)).splitlines(), ""]
    table: list[str] = []
    for line in lines:
        if line.startswith("|"):
            table.append(line)
        elif table:
            head, _, *rows = map(_cells, table)
            found.append([dict(zip(head, row, strict=True)) for row in rows])
            table = []
    return found


def table(name: str, *columns: str) -> list[dict[str, str]]:
    """The one table whose first columns are these."""
    [found] = [rows for rows in tables(name) if list(rows[0])[: len(columns)] == list(columns)]
    return found


def _cells(line: str) -> list[str]:
    return [_bare(cell.strip().replace("\\|", "|")) for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _bare(cell: str) -> str:
    return cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else cell


def codes(cell: str) -> list[str]:
    """What stands in backticks: `a`, `b` → a, b. A cell that was one piece of code is that."""
    return re.findall(r"`([^`]+)`", cell) or ([cell] if cell not in ("", "–") else [])
