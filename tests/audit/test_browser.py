"""The record, the insights and the API's page in a real browser: accessible in both themes, whole at 320 px."""

import shutil
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection, transaction
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from audit.leaf import Actor, Entry
from audit.record import record_all
from tests.audit.sequencing import sequence
from tests.factories import a_member, an_agent, an_approval, an_organization

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
HOSTILE = "stripe.refund.large \u202egnp.exe <b>" + "x" * 150


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; Django would take every query for one made within it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()


class Desk:
    """Somebody who is logged in, and something in the record to look at."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        self.acme = an_organization("Acme")
        self.auditor = a_member(self.acme, "auditor")
        bot = an_agent(self.acme, "support-bot")
        now = an_approval(agent=bot, amount="500.00", state="pending").created_at
        for state in ("approved", "denied", "expired", "cancelled"):
            an_approval(agent=bot, state=state, decided_at=now, claim_until=now if state == "approved" else None)
        self.target = "apr_" + "0" * 26
        actor, person = Actor("agent", "k", "support-bot"), Actor("person", "p", "ann@example.com")
        words = {"organization_id": self.acme.id, "mode": "live", "agent": "support-bot", "target": self.target}
        hostile = {"reason": HOSTILE, "list": [1, {HOSTILE: HOSTILE}]}
        entries = [
            Entry("agent:check:ask", actor=actor, action=HOSTILE, result="ask", data={"context": hostile}, **words),
            Entry("person:review:deny", actor=person, action="email.send", result="deny", data=hostile, **words),
            Entry("agent:check:deny", actor=actor, action="email.send", result="deny", data={"reason": "No"}, **words),
            *(Entry("agent:check:allow", actor=actor, action="email.send", result="allow", **words) for _ in range(60)),
        ]  # fmt: skip
        with transaction.atomic():
            record_all(entries, at=now)
        self.events = [entry.id for entry in entries]
        sequence()
        client = Client()
        client.force_login(self.auditor, backend="allauth.account.auth_backends.AuthenticationBackend")
        self.cookies = [{"name": name, "value": each.value, "url": url} for name, each in client.cookies.items()]

    def context(self, **options: object) -> BrowserContext:
        context = self.browser.new_context(**options)  # type: ignore[arg-type]
        context.add_cookies(self.cookies)  # type: ignore[arg-type]
        return context

    def pages(self) -> dict[str, str]:
        return {
            "list": "/audit/",
            "filtered": f"/audit/?target={self.target}&kind=agent:check&since=2020-01-01T00:00",
            "wrong": "/audit/?since=yesterday",
            "no match": "/audit/?action=nothing.such",
            "event": f"/audit/{self.events[0]}",
            "changed event": f"/audit/{self.events[2]}",
            "log": "/audit/log",
            "insights": "/insights/",
            "no insights": "/insights/?days=7",
            "api": "/api/docs",
        }


@pytest.fixture
def desk(chromium: Browser, server, settings, tmp_path) -> Desk:
    settings.WARDEN_HOME = tmp_path  # where the sequencer's key is
    desk = Desk(chromium, server.url)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only")
        cursor.execute("UPDATE audit_event SET result = 'allow' WHERE id = %s", [desk.events[2]])
        cursor.execute("ALTER TABLE audit_event ENABLE TRIGGER audit_event_append_only")
    return desk


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 320)])
def test_nothing_fails_axe_and_nothing_hangs_over(desk, theme, width):
    context = desk.context(viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    for name, path in desk.pages().items():
        assert page.goto(desk.url + path).status == 200, name
        page.evaluate("for (const each of [...document.querySelectorAll('main details')].slice(0, 9)) each.open = true")
        found = Axe().run(page, options=RULES).response["violations"]
        assert [(name, each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    context.close()


def test_no_page_breaks_the_content_security_policy(desk):
    context = desk.context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in desk.pages().values():
        page.goto(desk.url + path)
    assert said == []
    context.close()


@pytest.mark.parametrize("javascript", [True, False])
def test_an_auditor_finds_an_event_proves_it_and_takes_it_away(desk, javascript, tmp_path):
    context = desk.context(java_script_enabled=javascript)
    page = context.new_page()
    page.goto(f"{desk.url}/audit/")
    page.get_by_label("Actor").fill("ann@example.com")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".row")).to_have_count(1)
    page.locator(".row .what a").click()
    expect(page.get_by_text("This event is what was recorded")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ann@example.com denied email.send of support-bot")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download JSON").click()
    assert download.value.suggested_filename.startswith("evt_")
    page.goto(f"{desk.url}/audit/")
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    page.get_by_role("link", name="Denied", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export these").click()
    assert len(download.value.path().read_text().splitlines()) == 1
    context.close()


def test_the_links_within_the_api_page_open_what_they_lead_to(desk):
    context = desk.context()
    page = context.new_page()
    page.goto(f"{desk.url}/api/docs#schema-Approval")
    expect(page.locator("#schema-Approval")).to_be_visible()
    context.close()


def test_a_changed_event_says_so(desk):
    context = desk.context()
    page = context.new_page()
    page.goto(f"{desk.url}/audit/{desk.events[2]}")
    expect(page.get_by_role("alert")).to_contain_text("These columns say something else than the body: result.")
    context.close()


def test_the_server_itself_serves_the_document(server):
    assert httpx.get(f"{server.url}/api/openapi.json").json()["openapi"] == "3.1.0"
