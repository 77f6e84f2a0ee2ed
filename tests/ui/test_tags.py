"""Money keeps its digits, time says its words, badges carry a word, every picture says what it shows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from lucide import IconDoesNotExist

from warden.templatetags import warden_ui as ui


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (Decimal("500.00"), "USD", "$500.00"),
        (Decimal("1284500.5"), "usd", "$1,284,500.50"),
        (Decimal("0.00005"), "USD", "$0.00005"),
        (Decimal("500.00"), "JPY", "¥500"),
        (Decimal("1.2345"), "KWD", "1.2345 KWD"),
        (Decimal("-5"), "EUR", "-€5.00"),
        (12, "CHF", "12.00 CHF"),
        ("90.10", "", "90.10"),
        (Decimal("NaN"), "USD", "NaN USD"),
        ("a lot", "USD", "a lot USD"),
        (Decimal("1E+999999"), "USD", "1E+999999 USD"),
        (Decimal(0), "USD", "$0.00"),
    ],
)
def test_money(amount, currency, said):
    assert ui.format_money(amount, currency) == said


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_no_digit_of_an_amount_is_ever_cut(amount):
    shown = ui.format_money(amount, "USD")
    if "USD" not in shown:
        assert Decimal(shown.replace("$", "").replace(",", "")) == amount


def test_an_amount_an_agent_made_up_is_escaped():
    assert "<b>" not in ui.money("<b>1</b>", "USD")
    assert ui.money(None, "USD") == ""


@pytest.mark.parametrize(
    ("seconds", "ago", "left"),
    [
        (10, "just now", "0:10"),
        (60, "1 min ago", "1:00"),
        (581, "9 min ago", "9:41"),
        (1500, "25 min ago", "25 min"),
        (11520, "3 h ago", "3 h 12 min"),
        (7200, "2 h ago", "2 h"),
        (180000, "2 d ago", "2 d 2 h"),
    ],
)
def test_time_in_words(seconds, ago, left):
    assert ui.ago_words(timedelta(seconds=seconds)) == ago
    assert ui.left_words(timedelta(seconds=seconds)) == left


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (922, "15 min"), (90_000, "1 d")]
)
def test_how_long_something_lasts(seconds, words):
    assert ui.lasting(seconds) == words


def test_what_is_over_is_past_and_what_is_ahead_is_in():
    assert ui.left_words(timedelta(seconds=-1)) == "past"
    assert ui.ago_words(timedelta(minutes=-5)) == "in 5 min"


def test_a_time_carries_the_exact_moment():
    html = ui.until(datetime(2026, 3, 2, 9, 5, 7, tzinfo=UTC))
    assert 'datetime="2026-03-02T09:05:07+00:00"' in html
    assert "2 Mar 2026" in html
    assert "data-until" in html
    assert ui.ago(None) == ui.until(None) == ""
    assert "just now" in ui.ago(timezone.now())


@pytest.mark.parametrize("state", ui.STATES)
def test_every_state_has_an_icon_and_a_word(state):
    html = ui.state_badge(state)
    assert "<svg" in html
    assert ui.STATES[state][1] in html


@pytest.mark.parametrize("risk", ui.RISKS)
def test_every_risk_has_an_icon_and_a_word(risk):
    assert "<svg" in ui.risk_badge(risk)
    assert ui.RISKS[risk][1] in ui.risk_badge(risk)


def test_a_state_nobody_knows_is_still_said_and_escaped():
    assert "Half done" in ui.state_badge("half_done")
    assert "<i>" not in ui.state_badge("<i>")


def test_icons_are_hidden_from_screen_readers_and_a_wrong_name_is_loud():
    assert 'aria-hidden="true"' in ui.icon("check")
    with pytest.raises(IconDoesNotExist):
        ui.icon("no-such-icon")


def test_a_sparkline_says_its_range():
    html = ui.sparkline([3, None, 9], "Waiting per day")
    assert 'role="img"' in html
    assert 'aria-label="Waiting per day: from 3 to 9, lowest 0, highest 9"' in html
    assert ui.sparkline([]) == ""
    assert "<svg" in ui.sparkline([5])
    assert "<svg" in ui.sparkline([0, 0])


def test_what_is_copied_is_exactly_the_text():
    html = ui.copyable('a"<b>\u200b')
    assert 'data-copy="a&quot;&lt;b&gt;\u200b"' in html
    assert "⟨U+200B⟩" in html


def render(source: str, **context) -> str:
    return Template(source).render(Context({"request": RequestFactory().get("/x?q=a&page=2"), **context}))


def test_a_numbered_page_keeps_the_filters():
    html = render("{% pagination page %}", page=Paginator(range(100), 10).page(2))
    assert "11–20 of 100" in html
    assert 'href="?q=a&amp;page=3"' in html
    assert 'href="?q=a&amp;page=1"' in html


def test_a_keyset_page_has_neighbours_and_no_count():
    html = render("{% pagination page %}", page=SimpleNamespace(previous_cursor=None, next_cursor="zz"))
    assert 'href="?q=a&amp;after=zz"' in html
    assert "Newer" not in html


def test_one_page_has_no_pages():
    assert "href" not in render("{% pagination page %}", page=Paginator(range(3), 10).page(1))


@pytest.mark.parametrize("kind", ["none", "match", "forbidden", "failed"])
def test_the_four_kinds_of_nothing_look_different(kind):
    assert f"empty-{kind}" in render("{% empty_state 'Nothing' 'Because.' kind=kind %}", kind=kind)
