"""Every character of a payload can be reached, and none of it can act."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.ui.test_hostile import undraw
from warden.templatetags.hostile import draw
from warden.templatetags.payload import _ESCAPES as ESCAPES
from warden.templatetags.payload import draw_payload

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(max_size=150))
def test_a_short_string_is_shown_as_json_writes_it(text):
    shown = undraw(draw_payload(text))
    assert shown.startswith('"')
    assert shown.endswith('"')
    if not any(ord(character) < 0x20 and character not in "\n\r\t" for character in text):
        assert json.loads(shown, strict=False) == text


@given(values)
def test_any_json_is_drawn_with_each_key_and_string_in_it(value):
    html = draw_payload(value)
    assert "<script" not in html.lower()
    assert html.count("<details") == html.count("</details>")
    for item in strings(value):
        assert f'"{draw(item, escapes=ESCAPES)}"' in html


def strings(value):
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from strings(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from strings(item)


def test_a_long_string_is_shown_whole_with_its_length():
    html = draw_payload({"body": "line\n" * 1000})
    assert "5,000 characters" in html
    assert "line\n" * 1000 in html
    assert 'tabindex="0"' in html


def test_a_letter_after_an_escape_is_not_taken_for_a_word_of_mixed_letters():
    assert "mixed" not in draw_payload("\nпривет мир")


def test_deep_nesting_is_written_flat_instead_of_failing():
    value: list = []
    for _ in range(200):
        value = [value]
    assert "nested too deeply to fold" in draw_payload(value)


def test_keys_are_drawn_like_everything_else():
    assert "⟨U+202E⟩" in draw_payload({"\u202e<b>": 1})
    assert "<b>" not in draw_payload({"<b>": 1})


def test_empty_things_and_literals():
    assert undraw(draw_payload({"a": {}, "b": [], "c": None, "d": True, "e": 1.5})).count("\n") == 0
    assert '<span class="nil">null</span>' in draw_payload(None)
    assert '<span class="lit">true</span>' in draw_payload(True)  # noqa: FBT003 - a JSON value, not a flag
