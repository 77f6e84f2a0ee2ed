"""Several of low risk at once, and what is critical by its time, in Chromium: from the keyboard, narrow and dark."""

import pytest
from playwright.sync_api import expect

from approvals.models import Approval, Review
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible, picture
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


def three(acme: Acme) -> list[Approval]:
    return [
        factories.an_approval(
            agent=acme.bot,
            risk="low",
            action="stripe.refund.small",
            amount=f"{amount}.00",
            context={"customer_id": f"cus_{amount}"},
            reasoning="Charged twice.",
            minutes=60 + amount,
        )
        for amount in (12, 18, 25)
    ]


def test_a_person_ticks_two_and_decides_them_from_the_keyboard(acme: Acme, desk: Desk) -> None:
    first, second, third = three(acme)
    medium = factories.an_approval(agent=acme.bot, minutes=30)
    page = desk(acme.approver, "/inbox/")
    ticks = page.locator(".rows").get_by_role("checkbox")
    expect(ticks).to_have_count(3)  # of four that wait
    for number in (0, 1):
        ticks.nth(number).focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Go through the chosen").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 requests of low risk")).to_be_visible()
    for each in (first, second):
        expect(page.get_by_text(each.digest)).to_be_visible()
    page.get_by_label("Why").fill("Small ones.")
    page.get_by_role("button", name="Approve all 2").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 approved by you")).to_be_visible()
    states = [Approval.objects.get(id=each.id).state for each in (first, second, third, medium)]
    assert states == ["approved", "approved", "pending", "pending"]


def test_what_is_critical_says_how_long_is_left_and_loses_nothing(acme: Acme, desk: Desk) -> None:
    rule = {"critical_seconds": 2, "confirm_critical": False}
    approval = factories.an_approval(agent=acme.bot, risk="critical", rule=rule)
    page = desk(acme.approver, f"/approvals/{approval.approval_id}")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("had it before you for 2 seconds")).to_be_visible()
    page.locator("#reason").fill("It is time.")
    while not Review.objects.exists():  # too soon at first, then in time
        page.locator(".confirm").click()
        expect(page.locator("#refused, .note-success")).to_be_visible()
        if page.locator("#refused").count():
            expect(page.locator("#refused")).to_contain_text("then approve it")
            expect(page.locator("#reason")).to_have_value("It is time.")
            page.wait_for_timeout(500)
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_the_pages_are_accessible_and_whole(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    rows = three(acme)
    medium = factories.an_approval(agent=acme.bot)
    slow = factories.an_approval(agent=acme.bot, risk="critical", rule={"critical_seconds": 30})
    for _ in range(20):
        done = factories.an_approval(agent=acme.bot)
        Review.objects.create(approval=done, user=acme.approver, verdict="approve", digest=done.digest, via="browser")
    chosen = "&".join(f"id={each.approval_id}" for each in (*rows, medium))
    options = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
    for person, path, name in (
        (acme.colleague, "/inbox/?view=waiting", ""),
        (acme.colleague, f"/approvals/together?{chosen}", "together"),
        (acme.colleague, "/approvals/together", ""),
        (acme.colleague, f"/approvals/{slow.approval_id}/approve", ""),
        (acme.admin, "/insights/approvers/", "habits"),
    ):
        page = desk(person, path, **options)
        check_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path
        if name and scheme == "light":
            picture(page.locator("main"), name)
        page.context.close()
    page = desk(acme.colleague, f"/approvals/together?{chosen}", **options)
    Approval.objects.filter(id=rows[0].id).update(digest="0" * 64)
    page.get_by_role("button", name="Approve all 3").click()
    expect(page.get_by_role("heading", name="2 approved by you")).to_be_visible()
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
