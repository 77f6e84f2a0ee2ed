"""Templates keep the strict policy, the colours keep their contrast, and the classes we name exist."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
CSS = sorted((ROOT / "static/css").glob("*.css"))
TOKENS = (ROOT / "static/css/tokens.css").read_text()


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "templates"))


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_every_template_compiles(path):
    get_template(name(path))


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_no_template_has_inline_styles_or_scripts(path):
    source = re.sub(r"{%.*?%}|{{.*?}}", "", path.read_text())
    if not name(path).startswith("mail/"):  # mail has no policy of ours, and no style but inline that all programs show
        assert not re.search(r"\sstyle\s*=|<style", source)
    assert not re.search(r"javascript:|\shx-on", source)
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", source)
    for attributes, body in re.findall(r"<script\b([^>]*)>(.*?)</script>", source, re.DOTALL):
        assert ("src=" in attributes and not body.strip()) or 'type="application/json"' in attributes


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_no_template_marks_text_safe_that_is_not_a_forms_help(path):
    assert not re.search(r"(?<!field\.help_text)\|safe\b|autoescape off", path.read_text())


def test_there_are_fewer_than_thirty_tokens_and_no_colour_lives_elsewhere():
    assert len(set(re.findall(r"^\s+(--[\w-]+):", TOKENS, re.MULTILINE))) < 30
    defined = set(re.findall(r"(--[\w-]+):", TOKENS))
    for path in CSS:
        assert set(re.findall(r"var\((--[\w-]+)\)", path.read_text())) <= defined, path.name


def colours() -> dict[str, tuple[str, str]]:
    return {
        token: (light, dark)
        for token, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", TOKENS)
    }


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


GROUNDS = ["canvas", "surface", "sunken", "hover"]
TEXT = [(ink, ground) for ink in ["text", "muted", "accent", "approved", "waiting", "denied"] for ground in GROUNDS]
TEXT += [(ink, f"{ink}-soft") for ink in ["accent", "approved", "waiting", "denied"]]
TEXT += [(ink, f"{soft}-soft") for ink in ["text", "muted"] for soft in ["accent", "approved", "waiting", "denied"]]
TEXT += [("on-fill", fill) for fill in ["accent", "approved", "waiting", "denied"]]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_reads_at_four_and_a_half_to_one(theme, ink, ground):
    assert contrast(colours()[ink][theme], colours()[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["canvas", "surface"])
def test_edges_of_controls_show_at_three_to_one(theme, ground):
    assert contrast(colours()["edge"][theme], colours()[ground][theme]) >= 3
