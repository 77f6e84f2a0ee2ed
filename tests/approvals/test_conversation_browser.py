"""Talking about a request in a real browser: from the keyboard, while a decision is written, on a narrow screen."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from approvals import comments
from approvals.models import Comment
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible, picture
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


def test_a_person_asks_from_the_keyboard_while_she_writes_her_reason(acme: Acme, desk: Desk, tmp_path: Path) -> None:
    waiting = factories.an_approval(agent=acme.bot, amount="500")
    page = desk(acme.approver, "/inbox/")
    pane = page.locator("#pane")
    pane.get_by_role("button", name="Deny").click()
    expect(pane.locator("#reason")).to_be_focused()
    page.keyboard.type("The charge is not in Stripe.")
    pane.get_by_label("Say something").focus()
    page.keyboard.type(f"Which charge is it? @{acme.colleague.email} knows more.")
    file = tmp_path / "charges.csv"
    file.write_text("id,amount\nch_1,500\n")
    pane.get_by_label("Evidence").set_input_files(file)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    said = pane.get_by_role("status").filter(has_text="The agent can read your question. 1 person is told by mail.")
    expect(said).to_be_focused()
    expect(pane.locator("#reason")).to_have_value("The charge is not in Stripe.")
    expect(pane.locator("#conversation .trail")).to_contain_text("Which charge is it?")
    comment = Comment.objects.get()
    assert (comment.kind, comment.evidence, comment.mentions) == (
        "question",
        "id,amount\nch_1,500\n",
        [acme.colleague.id],
    )
    with page.expect_download() as download:
        pane.get_by_role("link", name="Download as text").click()
    assert download.value.suggested_filename == f"{comment.comment_id}.txt"
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_what_is_said_elsewhere_is_offered(acme: Acme, desk: Desk) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    page = desk(acme.approver, f"/approvals/{waiting.approval_id}")
    comments.comment(
        approval_id=waiting.id, by=acme.colleague, organization=acme.organization, text="Wait for me.", via="browser"
    )
    page.get_by_role("link", name="1 change: show it").click()
    expect(page.locator("#conversation")).to_contain_text("Wait for me.")


def test_a_refusal_without_a_script_keeps_what_was_typed(acme: Acme, desk: Desk, tmp_path: Path) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    page = desk(acme.approver, f"/approvals/{waiting.approval_id}", java_script_enabled=False)
    page.get_by_label("Say something").fill("See the picture.")
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG\xff")
    page.get_by_label("Evidence").set_input_files(file)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("text file in UTF-8")
    expect(page.get_by_label("Say something")).to_have_value("See the picture.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#conversation .trail")).to_contain_text("See the picture.")


def test_a_request_is_sent_back_and_comes_again(acme: Acme, desk: Desk) -> None:
    waiting = factories.an_approval(agent=acme.bot, amount="500")
    page = desk(acme.approver, f"/approvals/{waiting.approval_id}")
    page.get_by_role("button", name="Deny").click()
    page.get_by_label("Why deny").fill("At most $300.")
    page.get_by_label("Ask for changes").check()
    page.locator(".confirm").click()
    expect(page.get_by_role("status").filter(has_text="Sent back.")).to_be_visible()
    again = factories.an_approval(agent=acme.bot, amount="300", follows=waiting)
    page = desk(acme.colleague, f"/approvals/{again.approval_id}")
    expect(page.get_by_text("An earlier request was sent back")).to_be_visible()
    expect(page.get_by_text("At most $300.")).to_be_visible()
    page.get_by_role("link", name="An earlier request").click()
    expect(page.get_by_role("link", name="see the new request")).to_be_visible()


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_a_conversation_is_accessible(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    waiting = factories.an_approval(
        agent=acme.bot, amount="312.50", context={"customer_id": "cus_ABC123", "order": "ord_1042"}, risk="medium"
    )
    told = {"approval_id": waiting.id, "organization": acme.organization, "via": "browser"}
    comments.comment(by=acme.approver, text="Which parcel was lost? Send the carrier's words.", question=True, **told)
    Comment.objects.create(
        approval=waiting,
        key_id=waiting.key_id,
        author=acme.bot.slug,
        kind="answer",
        text="Parcel 7 of ord_1042. The carrier confirmed it this morning.",
        evidence="2026-11-22T09:14Z  ord_1042/7  LOST IN TRANSIT\n",
        evidence_name="carrier.log",
        created_at=waiting.created_at,
    )
    comments.comment(by=acme.colleague, text=f"I called them: it is so. @{acme.approver.email}", **told)
    page = desk(
        acme.approver, f"/approvals/{waiting.approval_id}", color_scheme=scheme, viewport=viewport, bypass_csp=True
    )
    page.locator("details.evidence summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    check_accessible(page)
    if scheme == "light":
        picture(page.locator("#conversation"), "conversation")
