"""The pages of streams in a real browser: accessible in both themes, whole at 320 px, and without JavaScript."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, expect

from audit.ids import show_id
from notifications.models import Stream
from tests.audit.test_browser import RULES, chromium  # noqa: F401 - a fixture
from tests.factories import a_member, an_organization
from tests.server import Server
from tests.streams.conftest import a_stream

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """An admin whose organization has a stream that works and one that does not."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        acme = an_organization("Acme")
        well, _ = a_stream(acme, "syslog_tls", "logs.example.com:6514", name="SIEM")
        ill, _ = a_stream(acme, address="https://siem.example.com/" + "x" * 150, name="Old \u202eMEIS")
        now = timezone.now()
        Stream.objects.filter(pk=ill.pk).update(error="503 no", failing_since=now, attempts=3, retry_at=now)
        Stream.objects.filter(pk=well.pk).update(paused_at=now)
        client = Client()
        client.force_login(a_member(acme, "admin"), backend="allauth.account.auth_backends.AuthenticationBackend")
        self.cookies = [{"name": name, "value": each.value, "url": url} for name, each in client.cookies.items()]
        base = "/settings/streams/"
        own = [f"{base}{show_id('str', stream.pk)}" for stream in (well, ill)]
        self.pages = [base, f"{base}new/syslog_tls", *own, f"{own[0]}/move", f"{own[0]}/delete", f"{own[1]}/secret"]

    def context(self, **options: object) -> BrowserContext:
        context = self.browser.new_context(**options)  # type: ignore[arg-type]
        context.add_cookies(self.cookies)  # type: ignore[arg-type]
        return context


@pytest.fixture
def desk(chromium: Browser, server: Server) -> Desk:  # noqa: F811
    return Desk(chromium, server.url)


@pytest.mark.parametrize(("theme", "width"), [("dark", 1440), ("light", 320)])
def test_nothing_fails_axe_and_nothing_hangs_over(desk: Desk, theme: str, width: int) -> None:
    context = desk.context(viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    for path in desk.pages:
        answer = page.goto(desk.url + path)
        assert answer
        assert answer.status == 200, path
        found = Axe().run(page, options=RULES).response["violations"]
        assert [(path, each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    context.close()


def test_an_admin_makes_pauses_and_moves_a_stream_without_javascript(desk: Desk) -> None:
    context = desk.context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.url}/settings/streams/")
    page.get_by_role("link", name="Syslog over TLS").click()
    page.get_by_label("Name").fill("Another")
    page.get_by_label("Receiver").fill("logs.example.com")
    page.get_by_role("button", name="Make the stream").click()
    expect(page.get_by_text("Write host:port, such as logs.example.com:6514.").first).to_be_visible()
    page.get_by_label("Receiver").fill("logs.example.com:6514")
    page.get_by_role("button", name="Make the stream").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Another")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused: nothing is sent, and nothing is lost.")).to_be_visible()
    page.get_by_role("link", name="Begin anew").click()
    page.get_by_label("Index").fill("0")
    page.get_by_role("button", name="Begin there").click()
    expect(page.get_by_text("Another goes on from 0.")).to_be_visible()
    context.close()
