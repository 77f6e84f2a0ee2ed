"""What an agent writes is shown whole, escaped, and with nothing hidden."""

import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.templatetags.hostile import draw, is_drawn
from warden.templatetags.warden_ui import hostile

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
tricky = st.text(
    st.sampled_from("<>&\"'pаyρal ⟨⟩U+202E\n\r\t\u202e\u200b\u200d\u0301\u00a0\ufe0f\U000e0041𝐩ｐ中の\ud800\x00")
)


class Undraw(HTMLParser):
    """Read drawn text back: boxes become their character, notes are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.classes = "", []

    def handle_starttag(self, tag, attrs):
        self.classes.append(dict(attrs).get("class", ""))

    def handle_endtag(self, tag):
        self.classes.pop()

    def handle_data(self, data):
        here = self.classes[-1] if self.classes else ""
        if here == "cp":
            self.text += chr(int(re.fullmatch(r"⟨U\+([0-9A-F]{4,6})⟩", data)[1], 16))
        elif here != "mixed-note":
            self.text += data


def undraw(html: str) -> str:
    parser = Undraw()
    parser.feed(html)
    parser.close()
    return parser.text


@given(any_text | tricky)
def test_nothing_is_lost_nothing_is_added(text):
    assert undraw(draw(text)) == text


@given(any_text | tricky)
def test_only_our_own_markup_comes_out(text):
    bare = re.sub(r'</?span(?: class="(?:cp|mixed|mixed-note)")?(?: title="[^"<>]*")?>', "", draw(text))
    assert not re.search(r"[<>\"']", bare)
    assert not re.search(r"&(?!(?:lt|gt|amp|quot|#x27);)", bare)


@given(any_text | tricky)
def test_no_character_that_hides_survives(text):
    assert not [character for character in draw(text) if is_drawn(character)]


@given(any_text | tricky)
def test_marks_never_pile_up(text):
    run = 0
    for character in re.sub(r"<[^>]*>", "<", draw(text)):
        run = run + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        assert run <= 3


def test_a_reversing_character_is_drawn_with_its_name():
    assert draw("a\u202eb") == 'a<span class="cp" title="RIGHT-TO-LEFT OVERRIDE">⟨U+202E⟩</span>b'


def test_a_box_typed_by_the_agent_is_not_a_box():
    assert "cp" not in draw("⟨U+202E⟩")


def test_lines_stay_lines_and_links_stay_text():
    assert draw("see\nhttps://evil.example") == "see\nhttps://evil.example"
    assert "<a" not in hostile("https://evil.example")


def test_nothing_written_shows_nothing():
    assert hostile(None) == ""
    assert hostile(0) == '<bdi class="hostile" dir="ltr">0</bdi>'


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("pаypal", "mixes Cyrillic and Latin"),
        ("αpple", "mixes Greek and Latin"),
        ("𝐩𝐚𝐲", "look-alike letters"),
        ("ｐａｙ", "look-alike letters"),
        ("send to сосо", "Cyrillic letters that look Latin"),
    ],
)
def test_words_that_are_not_what_they_seem_are_badged(text, note):
    assert f'<span class="mixed-note">{note}</span>' in draw(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "Zoë Müller-Łukasz",
        "привет, он со мной",
        "Ελλάδα και νησί",
        "Tシャツを買う",
        "漢字とかな",
        "café №5",
        "שלום",
        "5 µm",
        "1ª",
    ],
)
def test_ordinary_words_of_any_language_are_not_badged(text):
    assert "mixed" not in draw(text)
