"""The editor of a rule in Chromium: the sentence and who could decide follow what is chosen; accessible, whole."""

import pytest
from playwright.sync_api import expect

from accounts.models import User
from agents.services import rules
from audit.leaf import SYSTEM
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible, picture
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(server: Server) -> Acme:
    acme = make_acme()
    for user, email in ((acme.approver, "ann@example.com"), (acme.colleague, "bob@example.com")):
        User.objects.filter(pk=user.pk).update(email=email)
    team = factories.a_team(acme.organization, acme.approver, acme.colleague)
    team.name, team.slug = "Finance", "finance"
    team.save(update_fields=["name", "slug"])
    return acme


def test_the_sentence_and_who_could_decide_follow_what_is_chosen(acme: Acme, desk: Desk) -> None:
    page = desk(acme.admin, "/permissions/rules/new/", viewport={"width": 1000, "height": 900})
    preview = page.locator("#preview")
    expect(preview).to_contain_text("An owner, admin or approver decides. One approval is enough")
    page.locator("#id_name").fill("Payments")
    for role in ("owner", "admin", "approver"):
        page.locator(f"#id_roles input[value={role}]").uncheck()
    page.locator("#id_others").get_by_label("Finance").check()
    page.locator("#id_approvals").fill("2")
    page.locator("#id_or_1").fill("1")
    page.locator("#id_or_who_1").get_by_label("Owners").check()
    page.locator("#id_assurance").select_option("stepup")
    expect(preview).to_contain_text("It takes two approvals by a member of finance, or one by an owner")
    lack = [f"{name}@example.com no second factor yet" for name in ("ann", "bob")]
    expect(preview.locator(".chips").first.locator(".chip")).to_have_text(lack)
    page.locator("#id_edits_allowed").check()
    page.locator("#id_edit_fields").fill("amount\ncustomer_id")
    page.locator("#id_grants_allowed").check()
    expect(preview).to_contain_text("Before it is approved, amount and customer_id may be changed. Approving may allow")
    page.set_viewport_size({"width": 1280, "height": 960})
    page.evaluate("scrollTo(0, 0)")
    picture(page, "rule")
    page.locator("#id_approvals").fill("3")
    page.locator("#id_or_1").fill("2")
    page.locator("#id_assurance").select_option("browser")
    expect(preview).to_contain_text("It takes 3 approvals, and only ann@example.com, bob@example.com could give one.")
    page.get_by_role("button", name="Create the rule").click()
    expect(page.locator("#id_approvals")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_the_pages_are_accessible_and_whole(acme: Acme, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    rule = rules.create_rule(
        organization=acme.organization,
        by=SYSTEM,
        name="Payments",
        roles=[],
        teams=["finance"],
        approvals=2,
        alternatives=[{"approvals": 1, "roles": ["owner"]}],
    )
    stepup = factories.an_approval(agent=acme.bot, risk="critical", rule={"assurance": "stepup"})
    typed = factories.an_approval(agent=acme.bot, risk="critical")
    for path in (
        "/permissions/rules/",
        f"/permissions/rules/{rule.pk}/",
        f"/approvals/{stepup.approval_id}/approve",
        f"/approvals/{typed.approval_id}/approve",
        "/profile/absence/",
    ):
        page = desk(acme.admin, path, color_scheme=scheme, viewport=viewport, bypass_csp=True)
        check_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        page.context.close()
