"""Privacy in a real browser: a rule, a request with covered values, an erasure; accessible, and whole at 320 px."""

import pytest
from playwright.sync_api import Page, expect

from audit.subjects import SubjectKey
from tests.agents.test_privacy_pages import ERASE, PAGE, SECRET, covered
from tests.approvals.browsing import NARROW, WIDE, Desk, browser, check_accessible, desk, picture
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

__all__ = ["browser", "desk"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


def looked_at(page: Page, name: str) -> None:
    page.evaluate("scrollTo(0, 0)")
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} hangs over"
    picture(page, f"privacy-{name}")


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_an_owner_makes_a_rule_decides_by_the_values_and_erases_their_subject(
    acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]
) -> None:
    options = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
    page = desk(acme.owner, PAGE, **options)
    page.locator("#id_action").fill("stripe.*")
    page.locator("#id_path").fill("customer.email")
    page.locator("#id_subject").fill("customer.id")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("row", name="customer.email")).to_contain_text("Encrypted")
    looked_at(page, f"rules-{scheme}")
    asked = covered(acme)
    shown = desk(acme.approver, f"/approvals/{asked.approval_id}", **options)
    expect(shown.get_by_text("shown to you because you decide")).to_be_visible()
    expect(shown.get_by_text(SECRET)).to_be_visible()
    looked_at(shown, f"request-{scheme}")
    page.goto(page.url.replace(PAGE, ERASE))
    page.locator("#id_subject").fill("cus_1")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Erase cus_1?")).to_be_visible()
    looked_at(page, f"erase-{scheme}")
    page.get_by_label("Reason").fill("Case 7.")
    page.get_by_label("Type the subject again").fill("cus_1")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_text("Erased: nobody reads any more")).to_be_visible()
    assert not SubjectKey.objects.exists()
    shown.reload()
    expect(shown.get_by_text("Not shown:")).to_contain_text("erased")
    looked_at(shown, f"erased-{scheme}")
