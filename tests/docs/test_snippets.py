"""Every program that the documentation shows is run by a test, or is for a program that is not here: which is said."""

import json
import re
from pathlib import Path

import pytest
import regorus
import yaml

from tests.docs.pages import DOCS, ROOT, Block, blocks, read

RUN = ("python", "ts", "sh", "json", "yaml", "rego", "console")
PAGES = ["README.md", "sdk/README.md", "sdk/typescript/README.md", *(f"docs/{page.name}" for page in DOCS.glob("*.md"))]
TESTS = [*Path(ROOT / "tests").rglob("*.py"), *Path(ROOT / "sdk/tests").rglob("*.py")]
# Programs and formats of others: what they say of Warden is checked where it can be, by its words.
ELSEWHERE = {
    ("docs/opa.md", "yaml"): "OPA's configuration",
    ("docs/policy.md", "yaml"): "warden.yaml is applied; .github/workflows/policy.yaml is GitHub's",
    ("docs/spiffe.md", "console"): "SPIRE's commands",
    ("docs/spiffe.md", "yaml"): "Envoy's configuration",
}
# Commands of administrators, which reach for servers that are not here; that they are well formed: test_commands.
COMMANDS = {"docs/external-opa.md", "docs/streams.md", "docs/policy.md"}


def shown() -> list[tuple[str, Block]]:
    return [(page, block) for page in PAGES for language in RUN for block in blocks(page, language)]


def reading(page: str) -> list[str]:
    """The tests that take blocks from this page."""
    name = page.removeprefix("docs/")
    found = []
    for file in TESTS:
        around = file.with_name("conftest.py")
        text = file.read_text() + (around.read_text() if around.exists() else "")
        if file.name != "test_snippets.py" and name in text and re.search(r"\bblocks\(|\bshown\(|BLOCKS|_FENCE", text):
            found.append(file.name)
    return found


@pytest.mark.parametrize("page", sorted({page for page, _ in shown()}))
def test_what_a_page_shows_is_run(page: str) -> None:
    languages = {block.language for where, block in shown() if where == page}
    left = {each for each in languages if (page, each) not in ELSEWHERE and not (each == "sh" and page in COMMANDS)}
    assert not left or reading(page), f"{page}: nobody runs its {', '.join(sorted(left))}"


@pytest.mark.parametrize("page", [page for page, language in ELSEWHERE if language == "yaml"])
def test_what_is_for_others_is_well_formed(page: str) -> None:
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block.text)


def test_the_policy_for_an_opa_does_what_it_says() -> None:
    """docs/external-opa.md, on the question that the page shows."""
    [rego], [asked] = blocks("docs/external-opa.md", "rego"), blocks("docs/external-opa.md", "json")
    question = json.loads(asked.text)["input"]

    def said(action: str, *, freeze: bool) -> dict[str, object]:
        engine = regorus.Engine()
        engine.add_policy("warden.rego", rego.text)
        engine.add_data({"calendar": {"freeze": freeze}})
        engine.set_input(question | {"action": action})
        answer: dict[str, object] = engine.eval_rule("data.acme.warden")
        return answer

    assert said("deploy.production", freeze=True) == {"allow": False, "reason": "Deployments are frozen"}
    assert said("deploy.production", freeze=False) == said(question["action"], freeze=True) == {"allow": True}


def test_nothing_is_listed_that_is_not_shown() -> None:
    assert ELSEWHERE.keys() <= {(page, block.language) for page, block in shown()}
    assert {page for page, block in shown() if block.language == "sh"} >= COMMANDS
    assert "script/manage" in read("docs/streams.md")
