"""Break-glass in Chromium: two steps from the keyboard, the mark, the sign-off; accessible, narrow and dark."""

import time

import pytest
from playwright.sync_api import expect

from accounts.by import COMMAND_LINE
from accounts.models import Membership, User
from accounts.services import break_glass as capability
from agents.models import Permission
from approvals.glass import services as glass
from approvals.models import Approval, BreakGlass
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible, picture
from tests.approvals.conftest import Acme, make_acme
from tests.approvals.test_break_glass import ACTION, METHODS, asked, broken
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    acme = make_acme()
    for user, email in ((acme.approver, "ann@example.com"), (acme.owner, "olga@example.com")):
        User.objects.filter(pk=user.pk).update(email=email)
        user.email = email
    row = Membership.objects.select_related("user", "organization").get(user=acme.approver)
    capability.allow(member=row, by=COMMAND_LINE)
    return acme


@pytest.fixture
def tier(acme: Acme) -> Permission:
    return factories.a_permission(acme.bot, ACTION, "ask", risk="critical")


def a_factor(user: User) -> dict[str, object]:
    """What a session holds in which this person has just given a code of their app."""
    given = [{"method": "mfa", "type": "totp", "at": time.time(), "reauthenticated": True}]
    return {METHODS: given, f"{METHODS}_user": str(user.pk)}


def test_it_is_used_from_the_keyboard_marked_and_signed_off(acme: Acme, tier: Permission, desk: Desk) -> None:
    approval = asked(acme, tier)
    page = desk(acme.approver, f"/approvals/{approval.approval_id}", session=a_factor(acme.approver))
    page.get_by_role("link", name="Break-glass").focus()
    page.keyboard.press("Enter")
    page.locator("#reason").fill("The table leaks customers' data at this moment.")
    page.get_by_role("button", name="Go on").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Allow this, outside its rule?")).to_be_visible()
    page.locator("#typed").fill(ACTION)
    page.get_by_role("button", name="Allow it outside its rule").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Break-glass: allowed outside its rule")).to_be_visible()
    assert Approval.objects.get().state == "approved"
    owner = desk(acme.owner, "/settings/break-glass/")
    owner.get_by_role("link", name="ann@example.com allowed").click()
    owner.get_by_label("Yes, it could not wait").check()
    owner.locator("#note").fill("It leaked indeed.")
    owner.get_by_role("button", name="Sign it off").click()
    expect(owner.get_by_text("Nothing is to be signed off")).to_be_visible()
    assert BreakGlass.objects.get().verdict == "justified"


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_the_pages_are_accessible_and_whole(
    acme: Acme, tier: Permission, desk: Desk, scheme: str, viewport: dict[str, int]
) -> None:
    done, waiting = asked(acme, tier), asked(acme, tier)
    broken(acme, done)
    row = BreakGlass.objects.get()
    before = broken(acme, asked(acme, tier))
    owner = Membership.objects.select_related("user", "organization").get(user=acme.owner)
    signed = BreakGlass.objects.select_related("organization").get(approval=before)
    glass.sign(broken=signed, by=owner, justified=False, note="It could wait.")
    member = Membership.objects.get(user=acme.approver)
    options = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
    for person, path, name in (
        (acme.approver, f"/approvals/{waiting.approval_id}", ""),
        (acme.approver, f"/approvals/{waiting.approval_id}/break-glass", ""),
        (acme.colleague, f"/approvals/{done.approval_id}", ""),
        (acme.colleague, "/inbox/?view=decided", ""),
        (acme.owner, "/settings/break-glass/", ""),
        (acme.owner, f"/settings/break-glass/{row.glass_id}/", "break-glass-sign-off"),
        (acme.owner, f"/settings/members/{member.pk}/", ""),
    ):
        page = desk(person, path, session=a_factor(person), **options)
        check_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path
        if name and scheme == "light":
            picture(page.locator("main"), name)
        if path.endswith("/break-glass"):
            page.locator("#reason").fill("The table leaks.")
            page.get_by_role("button", name="Go on").click()
            check_accessible(page)
        page.context.close()
