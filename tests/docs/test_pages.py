"""All pages: their links lead somewhere, they are short, and they are all in the index."""

import subprocess
import sys
import tomllib

import pytest

from tests.docs.pages import DOCS, ROOT, read

LONGEST = 250  # lines


def test_links_and_anchors_exist() -> None:
    done = subprocess.run(
        [sys.executable, "script/check_docs.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", [file.relative_to(ROOT) for file in DOCS.rglob("*.md")], ids=str)
def test_a_page_is_short(page: str) -> None:
    assert len(read(page).splitlines()) <= LONGEST


def test_every_page_is_in_an_index() -> None:
    for index, folder in (("docs/index.md", DOCS), ("docs/adr/README.md", DOCS / "adr")):
        pages = {file.name for file in folder.glob("*.md")} - {"index.md", "README.md"}
        assert {name for name in pages if f"({name})" not in read(index)} == set()


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert read("CHANGELOG.md").partition("\n## ")[2].startswith(f"[{version}]")
