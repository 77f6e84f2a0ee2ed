"""Changing a request in a real browser: from the keyboard, in the pane, on a narrow screen."""

import pytest
from playwright.sync_api import expect

from approvals.models import Review
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible, picture
from tests.approvals.conftest import Acme, make_acme
from tests.approvals.test_edits import a_request, change
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
CONTEXT = {"amount": 500, "customer_id": "cus_ABC123", "order": "ord_1042", "currency": "USD", "urgent": False}


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


def test_a_person_changes_a_request_from_the_keyboard(acme: Acme, desk: Desk) -> None:
    row = a_request(acme.bot, context=CONTEXT)
    page = desk(acme.approver, "/inbox/")
    pane = page.locator("#pane")
    pane.get_by_role("button", name="Change").focus()
    page.keyboard.press("Enter")
    amount = pane.get_by_label("amount")
    expect(amount).to_have_value("500")
    amount.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("250")
    page.keyboard.press("Enter")
    expect(pane.get_by_role("status").filter(has_text="Not changed yet.")).to_be_focused()
    pane.locator("#reason").fill("Half of it was lost.")
    pane.get_by_role("button", name="Change it").focus()
    page.keyboard.press("Enter")
    expect(pane.get_by_role("status").filter(has_text="Changed. The votes so far are void")).to_be_focused()
    expect(pane.get_by_text("$250.00").first).to_be_visible()
    expect(pane.get_by_text("You changed this request")).to_be_visible()
    row.refresh_from_db()
    assert (row.amount, row.editors) == (250, [acme.approver.id])


def test_what_was_changed_elsewhere_is_not_decided_unseen(acme: Acme, desk: Desk) -> None:
    row = a_request(acme.bot, context=CONTEXT)
    page = desk(acme.colleague, f"/approvals/{row.approval_id}")
    page.get_by_role("button", name="Approve").click()
    change(row, acme.approver, amount=250)
    page.locator(".confirm").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not the request you were shown.")
    expect(page.get_by_text("Changed by people", exact=True)).to_be_visible()
    page.locator(".confirm").click()
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_a_change_is_accessible(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    row = a_request(acme.bot, context=CONTEXT)
    options = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
    page = desk(acme.approver, f"/approvals/{row.approval_id}/change", **options)
    page.get_by_label("amount").fill("250")
    page.get_by_role("button", name="See what it comes to").click()
    expect(page.get_by_text("Not changed yet.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    check_accessible(page)
    if scheme == "light":
        picture(page.locator("#change"), "change")
    Review.objects.create(approval=row, user=acme.admin, verdict="approve", digest=row.digest, via="browser")
    change(row, acme.colleague, amount=250)
    page = desk(acme.approver, f"/approvals/{row.approval_id}", **options)
    expect(page.get_by_text("void: the request was changed after it")).to_be_visible()
    before, after = page.locator(".diff del"), page.locator(".diff ins")  # nothing of it has to be looked for sideways
    assert [each.bounding_box()["x"] < viewport["width"] - 60 for each in (before, after)] == [True, True]
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    check_accessible(page)
