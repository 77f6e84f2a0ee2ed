"""The pages of this room in a real browser: accessible in both themes, whole at 320 px, alive without a reload."""

import shutil
from collections.abc import Iterator
from decimal import Decimal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts.by import COMMAND_LINE
from accounts.models import User
from agents.code.reading import File
from agents.code.state import current
from agents.code.writing import write
from agents.models import Agent, Instance, Permission, Provisioner
from agents.services import policy as policies
from agents.services.external import set_opa
from agents.services.identities import ban_identity
from agents.services.instances import new_key, provision, retire
from agents.services.keys import create_key, revoke_key
from agents.services.permissions import create_permission
from agents.services.proposals import propose
from agents.services.provisioners import create_provisioner
from agents.services.reviews import decide_item, sign_review, start_review
from agents.services.rules import create_rule
from agents.services.shadow import set_shadow
from tests.factories import an_agent

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; Django would take every query for one made within it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()


def an_instance(provisioner: Provisioner, name: str) -> Instance:
    key, secret = new_key(provisioner, name)
    return provision(
        provisioner=provisioner,
        key=key,
        secret=secret,
        sealed="",
        creation_key=name,
        creation_hash=b"",
        receiver=None,
    )


@pytest.fixture
def paths(server, acme, people, bot: Agent) -> dict[str, str]:
    """Every page of the room, by name, with something on it."""
    bot.purpose = "Refunds <b>customers</b> \u202e and writes to them at spiffe://example.com/agent/support/production"
    bot.documentation = f"# Refunds\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n{'a very long line ' * 9}\n```"
    bot.spiffe_id = "spiffe://example.com/agent/support/production"
    bot.save(update_fields=["purpose", "documentation", "spiffe_id"])
    rule = create_rule(organization=acme, by=people.owner, name="Two eyes", approvals=2)
    spare = create_rule(organization=acme, by=people.owner, name="Spare")
    for action, effect, maximum, fields in (
        ("stripe.refund.small", "allow", 50, {}),
        ("stripe.refund.medium", "ask", 200, {"approval_rule": rule, "risk": "high"}),
        ("stripe.refund.large", "allow", 1000, {"condition": "context.vip == true", "risk": "critical"}),
    ):
        fields |= {"max_amount": Decimal(maximum), "currency": "USD"}
        create_permission(agent=bot, by=people.owner, action=action, effect=effect, **fields)
    create_permission(agent=bot, by=people.owner, action="email.*", effect="allow", notes="Until we know more.")
    create_permission(
        agent=bot,
        by=people.owner,
        action="database.users.delete",
        effect="deny",
        callee="spiffe://example.com/agent/database/production",
    )
    key, _ = create_key(organization=acme, by=people.owner, mode="live", name="worker", agent=bot, rate_limit=60)
    revoke_key(key=create_key(organization=acme, by=people.owner, mode="test", name="old").key, by=people.owner)
    tier = bot.permissions.get(action="stripe.refund.medium")
    files = [File("warden.yaml", write(current(acme)))]
    policies.apply(organization=acme, by=COMMAND_LINE, files=files, expected="", source="3f2a9c1")
    set_shadow(organization=acme, by=COMMAND_LINE, files=files, source="3f2a9c1")
    create_permission(agent=bot, by=people.owner, action="zendesk.update", effect="allow", notes="By hand.")
    review = start_review(agent=bot, by=people.admin)
    signed = start_review(agent=an_agent(acme, "signed"), by=people.admin)
    for item in signed.items.all():
        decide_item(item=item, by=people.admin, verdict="keep", reason="Somebody else owns it \u202e")
    sign_review(review=signed, by=people.admin, notes="Fine.")
    waiting = propose(
        organization=acme, by=people.admin, files=[File("warden.yaml", files[0].text.replace("email.*", "email.send"))]
    )
    ban_identity(organization=acme, by=people.admin, spiffe_id="spiffe://example.com/service/x", reason="Leaked \u202e")
    provisioner = create_provisioner(agent=bot, by=people.owner, name="platform \u202e").provisioner
    retire(instance=an_instance(provisioner, "old laptop"), by=people.owner)
    instance = an_instance(provisioner, "a-laptop-with-a-rather-long-name.example.com")
    tabs = ["detail", "connect", "about", "agent_keys", "activity", "history", "edit", "delete", "tier_new"]
    tabs += ["instances", "provisioner_new"]
    plain = [
        "list",
        "connect_start",
        "new",
        "keys",
        "key_new",
        "permissions",
        "rules",
        "rule_new",
        "versions",
        "reviews",
        "git",
        "propose",
        "banned",
        "external_opa",
    ]
    return (
        {name: reverse(f"agents:{name}") for name in plain}
        | {name: reverse(f"agents:{name}", args=[bot.slug]) for name in tabs}
        | {
            "suspend": reverse("agents:status", args=[bot.slug, "suspend"]),
            "tier": reverse("agents:tier", args=[bot.slug, tier.pk]),
            "tier_delete": reverse("agents:tier_delete", args=[bot.slug, tier.pk]),
            "review": reverse("agents:review", args=[review.review_id]),
            "review_signed": reverse("agents:review", args=[signed.review_id]),
            "proposal": reverse("agents:proposal", args=[waiting.proposal_id]),
            "incident": reverse("incident", args=[bot.slug]),
            "incident_keys": reverse("incident_keys", args=[bot.slug]),
            "incident_name": reverse("incident_name", args=[bot.slug]),
            "provisioner_revoke": reverse("agents:provisioner_revoke", args=[provisioner.pk]),
            "instance_retire": reverse("agents:instance_retire", args=[instance.pk]),
            "key_roll": reverse("agents:key_roll", args=[key.pk]),
            "key_revoke": reverse("agents:key_revoke", args=[key.pk]),
            "rule": reverse("agents:rule", args=[rule.pk]),
            "rule_delete": reverse("agents:rule_delete", args=[spare.pk]),
            "no_match": f"{reverse('agents:list')}?q=zzz",
        }
    )


def logged_in(chromium: Browser, url: str, user: User, **options: object) -> Page:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    context = chromium.new_context(**options)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    page = context.new_page()
    page.refused = []
    page.on("console", lambda message: page.refused.append(message.text) if "Security Policy" in message.text else None)
    page.on("pageerror", lambda error: page.refused.append(str(error)))
    return page


def check(page: Page, where: str) -> list[object]:
    found = Axe().run(page, options=RULES).response["violations"]
    wrong = [(where, each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        wrong.append((where, "hangs over", []))
    return wrong


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 320)])
def test_every_page_is_accessible_and_whole(chromium, server, people, paths, bot, theme, width):
    User.objects.filter(pk=people.owner.pk).update(theme=theme)
    # axe brings a script of its own
    page = logged_in(chromium, server.url, people.owner, viewport={"width": width, "height": 800}, bypass_csp=True)
    wrong: list[object] = []
    for name, path in paths.items():
        answer = page.goto(server.url + path)
        assert answer.status == 200, (name, answer.status)
        wrong += check(page, name)
    page.goto(server.url + paths["detail"])
    page.get_by_label("Context").fill('{"amount": 150}')
    page.get_by_role("button", name="Simulate").click()
    expect(page.locator(".rung.hit")).to_have_count(1)
    page.evaluate("scrollTo(0, 0)")  # what lies behind the bar at the top is too small a target, says axe
    wrong += check(page, "simulated")
    page.goto(server.url + paths["key_new"])
    page.get_by_label("Name").fill("browser")
    page.get_by_role("button", name="Create the key").click()
    expect(page.get_by_text("Copy it now")).to_be_visible()
    wrong += check(page, "key_made")
    page.goto(server.url + paths["provisioner_new"])
    page.get_by_label("Name").fill("platform")
    page.get_by_role("button", name="Create the token").click()
    expect(page.get_by_text("wprv_").first).to_be_visible()
    wrong += check(page, "provisioner_made")
    page.goto(server.url + paths["connect"])
    page.get_by_role("button", name="Make a live key").click()
    page.get_by_role("button", name="Send it").click()
    expect(page.locator("#arrived")).to_contain_text("It works")
    page.evaluate("scrollTo(0, 0)")
    wrong += check(page, "connected")
    set_opa(organization=bot.organization, by=people.owner, url="https://opa.example.com/v1/data/acme/warden")
    for name in ("external_opa", "external_opa_remove"):
        page.goto(server.url + reverse(f"agents:{name}"))
        wrong += check(page, name)
    page.context.close()
    assert wrong == []


def test_a_simulation_marks_the_rung_and_keeps_the_place(chromium, server, people, paths):
    page = logged_in(chromium, server.url, people.viewer)
    page.goto(server.url + paths["detail"])
    page.get_by_label("Context").fill('{"amount": 150}')
    page.get_by_role("button", name="Simulate").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".rung.hit")).to_contain_text("≤ $200")
    expect(page.locator("#simulation")).to_contain_text("requires human approval")
    expect(page.get_by_role("button", name="Simulate")).to_be_focused()
    expect(page.get_by_label("Context")).to_have_value('{"amount": 150}')
    page.get_by_label("Context").fill('{"amount": ')
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Simulate").click()
    expect(page.locator("#simulator .error")).to_contain_text("Not JSON")
    assert page.refused == []
    page.context.close()


def test_a_tier_is_written_with_its_condition_checked_and_its_ladder_shown(chromium, server, people, paths, bot):
    page = logged_in(chromium, server.url, people.admin)
    page.goto(f"{server.url}{paths['tier_new']}?action=stripe.refund.")
    page.get_by_label("Action").fill("stripe.refund.huge")
    page.get_by_label("Up to").fill("5000")
    page.get_by_label("Currency").fill("USD")
    page.get_by_label("Pass: the agent goes on at once").check()
    expect(page.locator("#preview")).to_contain_text("up to $5,000.00 passes")
    expect(page.locator("#preview")).to_contain_text("It loosens upwards")
    condition = page.get_by_label("Only if")
    condition.press_sequentially("context.vip =")
    expect(page.locator("#condition-check")).to_contain_text("Line 1, column 13")
    condition.press_sequentially("= true")
    expect(page.locator("#condition-check")).to_contain_text("can be used")
    page.get_by_role("button", name="Add the tier").click()
    expect(page.get_by_text("Added stripe.refund.huge")).to_be_visible()
    assert Permission.objects.get(action="stripe.refund.huge").changed_by == people.admin
    assert page.refused == []
    page.context.close()


def test_all_of_it_works_without_javascript(chromium, server, people, paths, bot):
    page = logged_in(chromium, server.url, people.admin, java_script_enabled=False)
    page.goto(server.url + paths["detail"])
    page.get_by_label("Context").fill('{"amount": 5000}')
    page.get_by_role("button", name="Simulate").click()
    expect(page.locator("#simulation")).to_contain_text("Amount 5000.00 exceeds maximum allowed 1000.00")
    page.goto(server.url + paths["tier_new"])
    page.get_by_label("Action").fill("email.send")
    page.get_by_label("Only if").fill("context.")
    page.get_by_role("button", name="Add the tier").click()
    expect(page.locator("#condition-check")).to_contain_text("Line 1, column 9")
    page.get_by_label("Only if").fill("")
    page.get_by_role("button", name="Add the tier").click()
    expect(page.get_by_text("Added email.send")).to_be_visible()
    page.goto(server.url + paths["suspend"])
    page.get_by_label("Reason").fill("odd")
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("It is suspended")).to_be_visible()
    assert Agent.objects.get(pk=bot.pk).status == "suspended"
    page.context.close()


@pytest.mark.parametrize(
    ("framework", "said", "arrived"),
    [
        ("python", "Allowed by 'stripe.refund.small'", "stripe.refund"),
        ("langgraph", "Denied: No permission for action 'tool.issue_refund'", "tool.issue_refund"),
    ],
)
def test_a_key_is_made_and_its_first_request_arrives_without_a_reload(
    chromium, server, people, paths, framework, said, arrived
):
    page = logged_in(chromium, server.url, people.admin)
    page.goto(f"{server.url}{paths['connect']}?with={framework}")
    page.get_by_role("button", name="Make a live key").click()
    expect(page.locator("#arrived")).to_contain_text("Nothing yet")
    page.get_by_role("button", name="Send it").click()
    expect(page.locator("[data-try-said]")).to_contain_text(said)
    expect(page.locator("#arrived")).to_contain_text("It works")
    expect(page.locator("#arrived")).to_contain_text(arrived)
    assert page.refused == []
    page.context.close()
