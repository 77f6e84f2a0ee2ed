"""What holds agents back, in Chromium and by nothing but keys: the kill switch, budgets, absences, grants, step-up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from accounts.models import Delegation, Organization, User
from agents.models import Spending, Stop
from agents.policy.budgets import window
from approvals.models import Grant, Review
from audit.clock import database_now
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, picture, press, tab_to, whole, write
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
LOOKS = [pytest.param("light", WIDE, id="light"), pytest.param("dark", NARROW, id="dark")]


@pytest.fixture
def acme(server: Server) -> Acme:
    acme = make_acme()
    for user, name in ((acme.owner, "ann"), (acme.admin, "bob"), (acme.approver, "cy")):
        User.objects.filter(pk=user.pk).update(email=f"{name}@example.com")
        user.refresh_from_db()
    Organization.objects.filter(pk=acme.organization.pk).update(name="Acme")
    return acme


def test_two_people_stop_and_release_by_keys(acme: Acme, desk: Desk) -> None:
    page = desk(acme.admin, "/settings/kill-switch/")
    press(page, page.get_by_role("link", name="Stop…").first)
    write(page, page.get_by_label("Which actions"), "stripe.refund.*")
    write(page, page.get_by_label("Why", exact=True), "Refunds to accounts nobody knows")
    press(page, page.get_by_role("button", name="Stop"))
    expect(page.get_by_role("heading", name="stripe.refund.*")).to_be_visible()
    press(page, page.get_by_role("link", name="Ask to release it"))
    write(page, page.get_by_label("Why it can go on"), "The two accounts are closed")
    press(page, page.get_by_role("button", name="Ask to release it"))
    expect(page.get_by_text("To confirm: ann@example.com")).to_be_visible()
    page = desk(acme.owner, "/inbox/")
    press(page, page.get_by_role("alert").get_by_role("link", name="Kill switch"))
    press(page, page.get_by_role("link", name="Confirm the release…"))
    press(page, page.get_by_role("button", name="Release"))
    expect(page.get_by_text("Nothing is stopped")).to_be_visible()
    assert Stop.objects.get().released_by == acme.owner


@pytest.mark.parametrize(("scheme", "viewport"), LOOKS)
def test_the_kill_switch_is_accessible_and_whole(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    now = database_now()
    past = {"stopped_at": now - timedelta(days=3), "asked_at": now - timedelta(days=3, hours=-2)}
    past |= {"released_at": now - timedelta(days=2), "released_by_label": "ann@example.com"}
    why = {"reason": "A key in a log", "asked_by_label": "bob@example.com", "release_reason": "The key is rolled"}
    factories.a_stop(acme.organization, agent=acme.bot, **past, **why)
    asked = {"asked_at": now, "asked_by_label": "bob@example.com", "release_reason": "The two accounts are closed"}
    stop = factories.a_stop(acme.organization, pattern="stripe.refund.*", **asked)
    factories.an_approval(agent=acme.bot)
    for path in ("", "stop", f"{stop.stop_id}/release"):
        page = desk(
            acme.owner, f"/settings/kill-switch/{path}", color_scheme=scheme, viewport=viewport, bypass_csp=True
        )
        whole(page)
        page.context.close()
    if scheme == "light":
        picture(desk(acme.owner, "/settings/kill-switch/", viewport={"width": 1100, "height": 700}), "kill-switch")


def test_an_owner_gives_up_that_two_are_needed_by_keys_and_another_takes_it_back(acme: Acme, desk: Desk) -> None:
    page = desk(acme.owner, "/settings/organization/")
    press(page, page.get_by_role("link", name="One person is enough"))
    write(page, page.get_by_label(f"Type {acme.organization.slug} to confirm"), acme.organization.slug)
    press(page, page.get_by_role("button", name="One person is enough"))
    expect(page.get_by_text("One person is enough from now on.")).to_be_visible()
    for scheme, viewport in (("light", WIDE), ("dark", NARROW)):
        looks = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
        for who, path in ((acme.owner, "/settings/organization/single/"), (acme.viewer, "/inbox/")):
            page = desk(who, path, **looks)
            expect(page.get_by_role("region", name="One person is enough")).to_be_visible()
            whole(page)
            page.context.close()
    page = desk(acme.admin, "/agents/")
    press(page, page.get_by_role("button", name="Need two again"))
    expect(page.get_by_text("Two people are needed again, for what waits too.")).to_be_visible()
    expect(page.get_by_role("region", name="One person is enough")).to_have_count(0)


def test_a_budget_is_set_by_keys_and_drawn(acme: Acme, desk: Desk) -> None:
    row = factories.a_permission(acme.bot, "stripe.refund.small", max_amount=Decimal(50), currency="USD")
    page = desk(acme.admin, f"/agents/support-bot/tiers/{row.pk}/")
    write(page, page.get_by_label("Times per hour"), "12")
    write(page, page.get_by_label("In all per day"), "500")
    press(page, page.get_by_role("button", name="Save"))
    expect(page.get_by_role("heading", name="Limits")).to_be_visible()
    expect(page.get_by_text("0 of 12")).to_be_visible()
    row.refresh_from_db()
    assert row.limits == {"count_per_hour": 12, "total_per_day": "500"}


@pytest.mark.parametrize(("scheme", "viewport"), LOOKS)
def test_budgets_are_accessible_and_whole(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    limits = {"count_per_hour": 12, "total_per_day": "500"}
    row = factories.a_permission(acme.bot, "stripe.refund.small", max_amount=Decimal(50), currency="USD", limits=limits)
    factories.a_permission(acme.bot, "stripe.refund.large", "ask", max_amount=Decimal(1000), currency="USD")
    type(acme.bot).objects.filter(pk=acme.bot.pk).update(limits={"total_per_month": "20000"}, limit_currency="USD")
    now = datetime.now(UTC)
    for owner, span, unit, value in (
        (row.pk, "hour", "", 12),
        (row.pk, "day", "USD", "312.50"),
        (acme.bot.pk, "month", "USD", "4180.25"),
    ):
        Spending.objects.create(
            owner=owner, mode="live", span=span, starts=window(span, now)[0], unit=unit, value=value
        )
    for path in ("", f"tiers/{row.pk}/", "edit/"):
        page = desk(acme.owner, f"/agents/support-bot/{path}", color_scheme=scheme, viewport=viewport, bypass_csp=True)
        whole(page)
        page.context.close()
    page = desk(acme.owner, "/agents/support-bot/", viewport=WIDE)
    expect(page.get_by_text("12 of 12")).to_be_visible()
    if scheme == "light":
        picture(page, "budgets")


def test_somebody_is_away_by_keys_and_another_votes_in_their_name(acme: Acme, desk: Desk) -> None:
    named = [{"id": str(acme.approver.id), "email": acme.approver.email}]
    row = factories.an_approval(agent=acme.bot, rule={"roles": [], "people": named})
    page = desk(acme.approver, "/profile/absence/", locale="en-US")
    tab_to(page, page.get_by_label("Until"))
    page.keyboard.type(f"{datetime.now(UTC) + timedelta(days=5):%m%d%Y}")
    page.keyboard.press("Tab")  # a year may have more digits
    page.keyboard.type("0900AM")
    delegates = page.get_by_label("bob@example.com")
    tab_to(page, delegates)
    page.keyboard.press("Space")
    press(page, page.get_by_role("button", name="Say that you are away"))
    expect(page.get_by_role("heading", name="You are away")).to_be_visible()
    assert Delegation.objects.get().delegator.user == acme.approver
    page = desk(acme.admin, f"/approvals/{row.approval_id}")
    press(page, page.get_by_role("button", name="Approve"))
    press(page, page.locator(".confirm"))
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()
    expect(page.get_by_text("bob@example.com for cy@example.com").first).to_be_visible()
    vote = Review.objects.get()
    assert (vote.user, vote.on_behalf_of) == (acme.admin, acme.approver)


def test_a_grant_is_given_and_revoked_by_keys(acme: Acme, desk: Desk) -> None:
    row = factories.an_approval(agent=acme.bot, amount="300", rule={"grants_allowed": True})
    page = desk(acme.approver, f"/approvals/{row.approval_id}")
    press(page, page.get_by_role("button", name="Approve"))
    press(page, page.locator("details.grant summary"))
    tab_to(page, page.locator("[name=grant]"))
    page.keyboard.press("Space")
    write(page, page.get_by_label("Times"), "4")
    write(page, page.get_by_label("In all at most"), "900")
    press(page, page.locator(".confirm"))
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()
    grant = Grant.objects.get()
    assert (grant.max_uses, grant.total) == (4, 900)
    page = desk(acme.admin, "/agents/support-bot/")
    press(page, page.get_by_role("link", name="Grants"))
    press(page, page.get_by_role("link", name="support-bot may do"))
    press(page, page.get_by_role("link", name="Revoke"))
    press(page, page.get_by_role("button", name="Revoke"))
    expect(page.get_by_text("Revoked. The next request of this kind waits")).to_be_visible()
    grant.refresh_from_db()
    assert grant.revoked_by_label == acme.admin.email


@pytest.mark.parametrize(("scheme", "viewport"), LOOKS)
def test_absence_and_step_up_are_accessible_and_whole(
    acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]
) -> None:
    away = Delegation.objects.create(
        organization=acme.organization,
        delegator=acme.approver.memberships.get(),
        starts_at=database_now(),
        ends_at=database_now() + timedelta(days=5),
        note="Walking",
    )
    away.delegates.set([acme.admin.memberships.get()])
    row = factories.an_approval(agent=acme.bot, rule={"assurance": "stepup"}, risk="critical")
    for who, path in (
        (acme.approver, "/profile/absence/"),
        (acme.admin, "/profile/absence/"),
        (acme.approver, f"/approvals/{row.approval_id}/approve"),
    ):
        page = desk(who, path, color_scheme=scheme, viewport=viewport, bypass_csp=True)
        whole(page)
        page.context.close()
    if scheme == "light":
        picture(desk(acme.approver, "/profile/absence/", viewport={"width": 1000, "height": 760}), "absence")
