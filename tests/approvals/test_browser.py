"""The desk in a real browser: decided from the keyboard, without a script, on a narrow screen, beside somebody else."""

import re

import pytest
from playwright.sync_api import Route, expect

from accounts.models import User
from approvals import services
from approvals.models import Approval, Review
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible
from tests.approvals.conftest import Acme, make_acme
from tests.hostile import TEXTS
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


def decide_elsewhere(approval: Approval, by: User, verdict: str = "approve") -> None:
    services.review(
        approval_id=approval.id,
        by=by,
        organization=approval.organization,
        verdict="approve" if verdict == "approve" else "deny",
        reason="Elsewhere.",
        digest=approval.digest,
        via="browser",
    )


def test_a_person_decides_from_the_keyboard_without_leaving_the_list(acme: Acme, desk: Desk) -> None:
    first = factories.an_approval(agent=acme.bot, amount="500", minutes=20)
    second = factories.an_approval(agent=acme.bot, amount="700", minutes=30)
    page = desk(acme.approver, "/inbox/")
    pane = page.locator("#pane")
    expect(pane.get_by_text("$500.00").first).to_be_visible()  # the first is there to be read
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(pane.get_by_text("$700.00").first).to_be_visible()
    expect(page).to_have_url(re.compile(second.approval_id))
    page.keyboard.press("a")
    expect(pane.locator("[data-decide=approve]")).to_be_focused()
    assert not Review.objects.exists()
    page.keyboard.press("Enter")
    expect(pane.locator("#reason")).to_be_focused()
    page.keyboard.type("Checked with Stripe.")
    assert not Review.objects.exists()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(pane.get_by_role("status").filter(has_text="Approved. The agent may go on.")).to_be_focused()
    expect(page.locator(f"#state-{second.approval_id}")).to_contain_text("Approved")
    assert Review.objects.get().reason == "Checked with Stripe."
    pane.get_by_role("link", name="Next request").click()
    expect(pane.get_by_text("$500.00").first).to_be_visible()
    expect(page).to_have_url(re.compile(first.approval_id))


def test_opening_the_form_does_not_move_what_is_read(acme: Acme, desk: Desk) -> None:
    factories.an_approval(agent=acme.bot, context={"lines": ["x" * 300] * 20})
    page = desk(acme.approver, "/inbox/")
    pane = page.locator("#pane")
    expect(pane.locator("[data-decide=deny]")).to_be_in_viewport(ratio=1)
    pane.locator("[data-decide=deny]").click()
    expect(pane.locator("#reason")).to_be_focused()
    page.keyboard.type("a\nb\nc\nd\n")
    assert pane.evaluate("pane => pane.scrollTop") == 0


def test_a_double_click_sends_one_vote(acme: Acme, desk: Desk) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    page = desk(acme.approver, f"/approvals/{waiting.approval_id}")
    page.get_by_role("button", name="Approve").click()
    page.locator(".confirm").dblclick()
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()
    assert Review.objects.count() == 1


def test_who_comes_second_sees_it_and_keeps_what_was_typed(acme: Acme, desk: Desk) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    page = desk(acme.approver, "/inbox/")
    pane = page.locator("#pane")
    pane.get_by_role("button", name="Deny").click()
    expect(pane.locator("#reason")).to_be_focused()
    page.keyboard.type("The charge is not in Stripe.")
    decide_elsewhere(waiting, acme.colleague)
    expect(pane.get_by_text("This request has ended meanwhile.")).to_be_visible()
    expect(page.locator(f"#state-{waiting.approval_id}")).to_contain_text("Approved")
    expect(pane.locator("#reason")).to_have_value("The charge is not in Stripe.")
    pane.locator(".confirm").click()
    expect(pane.get_by_role("alert")).to_contain_text(f"already approved by {acme.colleague.email}")
    expect(pane.get_by_label("What you wrote, to copy")).to_have_value("The charge is not in Stripe.")
    waiting.refresh_from_db()
    assert waiting.state == "approved"


def test_what_comes_in_is_offered_and_moves_nothing(acme: Acme, desk: Desk) -> None:
    factories.an_approval(agent=acme.bot, minutes=50)
    page = desk(acme.approver, "/inbox/")
    expect(page.locator(".rows .row")).to_have_count(1)
    factories.an_approval(agent=acme.bot, minutes=10)
    offer = page.get_by_role("link", name="1 new")
    expect(offer).to_be_visible()
    expect(page.locator(".rows .row")).to_have_count(1)
    expect(page.locator("[data-waiting]").first).to_contain_text("2")
    offer.click()
    expect(page.locator(".rows .row")).to_have_count(2)


def test_it_all_works_without_a_script(acme: Acme, desk: Desk) -> None:
    waiting = factories.an_approval(agent=acme.bot, amount="500")
    page = desk(acme.approver, "/inbox/", java_script_enabled=False)
    page.get_by_role("link", name="wants to refund").click()
    page.get_by_role("button", name="Deny").click()
    page.get_by_label("Why deny").fill("No such charge.")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("Denied. The agent is told.")).to_be_visible()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason) == ("denied", "No such charge.")


def test_on_a_narrow_screen_a_row_opens_its_page_and_nothing_is_cut(acme: Acme, desk: Desk) -> None:
    factories.an_approval(agent=acme.bot, amount="1234567.89", context={"customer_id": "x" * 78, "long": "y" * 500})
    page = desk(acme.approver, "/inbox/", viewport=NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.locator(".rows a").first.click()
    page.wait_for_url("**/approvals/apr_*")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#reason")).to_be_in_viewport(ratio=1)
    expect(page.locator(".confirm")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_what_an_agent_wrote_runs_nothing_and_calls_nobody(acme: Acme, desk: Desk) -> None:
    for text in TEXTS:
        factories.an_approval(
            agent=acme.bot, context={"customer_id": text, text: text}, reasoning=text.replace("\0", "")
        )
    page = desk(acme.approver, "/inbox/")
    expect(page.locator(".rows .row")).to_have_count(len(TEXTS))
    for number in range(len(TEXTS)):
        page.locator(".rows a").nth(number).click()
        row = page.locator(".rows .row").nth(number)
        expect(row.locator("a[aria-current]")).to_be_attached()
    assert page.evaluate("[...document.querySelectorAll('.hostile a, .payload a')].length") == 0


def test_of_two_rows_clicked_in_a_row_the_later_one_is_shown_however_late_the_first_answers(
    acme: Acme, desk: Desk
) -> None:
    for _ in range(3):
        factories.an_approval(agent=acme.bot)
    page = desk(acme.approver, "/inbox/")
    expect(page.locator("#pane [data-approval]")).to_be_visible()
    late, other = (page.locator(".rows a[data-pane]").nth(number) for number in (1, 2))
    held: list[Route] = []
    page.route(re.compile(f"/approvals/{late.get_attribute('data-pane')}"), lambda route: held.append(route))
    late.click()
    other.click()
    expect(other).to_have_attribute("aria-current", "true")
    for route in held:
        route.continue_()
    assert held
    page.wait_for_load_state("networkidle")
    expect(page.locator(f"#pane [data-approval={other.get_attribute('data-pane')}]")).to_be_visible()


def test_a_log_out_elsewhere_shows_the_log_in_page_and_not_inside_the_pane(acme: Acme, desk: Desk) -> None:
    from django.contrib.sessions.models import Session

    factories.an_approval(agent=acme.bot)
    page = desk(acme.approver, "/inbox/")
    expect(page.locator("#pane [data-approval]")).to_be_visible()
    Session.objects.all().delete()
    page.locator(".rows a").first.click()
    page.wait_for_url("**/accounts/login/**")


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_the_desk_is_accessible(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    empty = desk(acme.approver, "/inbox/", color_scheme=scheme, viewport=viewport, bypass_csp=True)
    check_accessible(empty)
    waiting = factories.an_approval(
        agent=acme.bot,
        amount="500",
        context={"customer_id": "cus_\u202e1", "body": "long " * 100},
        risk="high",
        reasoning="pаypal",
    )
    two = factories.an_approval(agent=acme.bot, risk="critical", rule={"approvals": 2, "confirm_critical": False})
    decide_elsewhere(two, acme.colleague)
    decided = factories.an_approval(agent=acme.bot, risk="low")
    decide_elsewhere(decided, acme.colleague, "deny")
    for mode, path in [
        ("live", "/inbox/?facets=1"),
        ("live", "/inbox/?view=all"),
        ("live", "/inbox/?q=nothing"),
        ("test", "/inbox/"),
        ("live", f"/approvals/{waiting.approval_id}"),
        ("live", f"/approvals/{waiting.approval_id}/deny"),
        ("live", f"/approvals/{two.approval_id}"),
        ("live", f"/approvals/{decided.approval_id}"),
    ]:
        page = desk(acme.approver, path, mode=mode, color_scheme=scheme, viewport=viewport, bypass_csp=True)
        if viewport is WIDE and path.startswith("/inbox/") and mode == "live" and "nothing" not in path:
            expect(page.locator("#pane [data-approval]")).to_be_visible()
        check_accessible(page)
        page.context.close()
    check_accessible(
        desk(acme.owner, f"/approvals/{waiting.approval_id}", color_scheme=scheme, viewport=viewport, bypass_csp=True)
    )
    check_accessible(desk(acme.admin, "/settings/deliveries", color_scheme=scheme, viewport=viewport, bypass_csp=True))
