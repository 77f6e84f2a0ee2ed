"""A real passkey, by Chromium's virtual authenticator: it decides what a password does not."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from approvals.models import Approval, Review
from tests import factories
from tests.approvals.browsing import picture
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page with an authenticator. A passkey belongs to a name, never to an address in numbers."""
    context = browser.new_context(base_url=f"http://localhost:{server.port}")
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield page
    context.close()


def test_a_passkey_decides_what_a_password_does_not(page: Page, acme: Acme) -> None:
    acme.approver.set_password(factories.PASSWORD)
    acme.approver.email = "ann@example.com"
    acme.approver.save(update_fields=["password", "email"])
    approval = factories.an_approval(agent=acme.bot, amount="500.00", rule={"assurance": "stepup"})
    form = f"/approvals/{approval.approval_id}/approve"

    page.goto(f"/accounts/login/?next={form}")
    page.fill("[name=login]", acme.approver.email)
    page.fill("[name=password]", factories.PASSWORD)
    page.click("button:has-text('Log in') >> nth=0")
    expect(page.get_by_text("you have neither")).to_be_visible()
    page.click("text=Add a second factor")
    page.goto("/accounts/2fa/webauthn/add/")
    page.fill("[name=password]", factories.PASSWORD)  # a password is enough to add one, and to decide it is not
    page.click("main button:has-text('Confirm')")
    page.fill("[name=name]", "Key of the test")
    page.click("#mfa_webauthn_add")
    page.wait_for_url(lambda address: "webauthn/add" not in address)

    page.goto(form)
    picture(page, "step-up")
    page.get_by_text("Confirm that it is you").focus()  # from here on by keys
    page.keyboard.press("Enter")
    page.locator("#mfa_webauthn_reauthenticate").focus()
    page.keyboard.press("Enter")
    expect(page.locator("form#decide")).to_be_visible()
    page.locator("form#decide button.confirm").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()
    assert Approval.objects.get().state == "approved"
    assert Review.objects.get().assurance == "stepup"
