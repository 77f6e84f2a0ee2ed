"""Check every Markdown file: relative links and their anchors exist, and no path of somebody's machine slipped in."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.M | re.S)
INLINE = re.compile(r"`[^`\n]*`")
LINK = re.compile(
    r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+<?(\S+?)>?\s*$", re.M
)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.M)
ANCHOR = re.compile(r"""<a\s[^>]*(?:id|name)=["']([^"']+)["']""")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|work|home/(?!user\b|warden\b)\w+|Users/\w+)(?:/|\b)")


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked archive
        files = [file for file in ROOT.rglob("*.md") if not {".venv", "node_modules", "var"} & set(file.parts)]
    problems = [problem for file in sorted(files) if file.exists() for problem in check(file)]
    print(*problems, sep="\n", end="\n" if problems else "")  # noqa: T201
    print(f"{len(files)} documents, {len(problems)} problems")  # noqa: T201
    return 1 if problems else 0


def check(file: Path) -> list[str]:
    """The problems of one document, each with its place."""
    text = file.read_text()
    name = file.relative_to(ROOT)
    problems = [f"{name}:{_line(text, m.start())}: a path of one machine: {m[0]}" for m in MACHINE_PATH.finditer(text)]
    prose = _blank(INLINE, _blank(FENCE, text))
    for match in LINK.finditer(prose):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        linked = ((ROOT / path.lstrip("/")) if path.startswith("/") else (file.parent / path)) if path else file
        place = f"{name}:{_line(text, match.start())}"
        if not linked.exists():
            problems.append(f"{place}: {target} does not exist")
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            problems.append(f"{place}: {target} has no such heading")
    return problems


def anchors(file: Path) -> set[str]:
    """What can follow # in a link to `file`: headings as GitHub names them, and explicit anchors."""
    text = _blank(FENCE, file.read_text())
    found = set(ANCHOR.findall(text))
    for heading in HEADING.findall(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (unique := slug if not number else f"{slug}-{number}") in found:
            number += 1
        found.add(unique)
    return found


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """`text` without what `pattern` matches, its lines still in their places."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


if __name__ == "__main__":
    sys.exit(main())
