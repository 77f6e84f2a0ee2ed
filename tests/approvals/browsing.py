"""Chromium at the desk: what the browser tests of this room share."""

import os
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from accounts.models import User
from tests.server import Server

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 320, "height": 640}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
Desk = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, and Django takes that for asynchronous code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def desk(browser: Browser, server: Server) -> Iterator[Desk]:
    """Opens an address as somebody: `desk(acme.approver, "/inbox/")`. Any error in a page fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_as(
        user: User,
        path: str,
        *,
        mode: str = "live",
        session: dict[str, object] | None = None,
        abroad: str = "",
        **options: object,
    ) -> Page:
        client = Client()
        client.force_login(user, backend=BACKEND)
        kept = client.session
        kept.update({"mode": mode} | (session or {}))
        kept.save()
        usual = {"viewport": WIDE, "reduced_motion": "reduce"}
        context = browser.new_context(**(usual | options))  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": "sessionid", "value": kept.session_key, "url": server.url}])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: _keep_inside(request.url, (server.url, abroad or server.url), errors))
        page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(server.url + path)
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert errors == [], errors


def _keep_inside(url: str, allowed: tuple[str, ...], errors: list[str]) -> None:
    if urlsplit(url).netloc not in {urlsplit(each).netloc for each in allowed} and not url.startswith("data:"):
        errors.append(f"a request left the house: {url}")


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe has against the page."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]


def check_accessible(page: Page) -> None:
    wrong = violations(page)
    assert wrong == [], wrong


def faults(page: Page) -> list[tuple[str, list[str]]]:
    """What axe has against the page, and whether anything hangs over."""
    fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return violations(page) + ([] if fits else [("hangs over", [])])


def tab_to(page: Page, what: Locator) -> None:
    """Goes there by the tab key, as somebody without a mouse does."""
    for _ in range(80):
        if what.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no way by the tab key to {what}")


def press(page: Page, what: Locator) -> None:
    tab_to(page, what)
    page.keyboard.press("Enter")


def write(page: Page, what: Locator, text: str) -> None:
    tab_to(page, what)
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def whole(page: Page) -> None:
    """Accessible, and nothing hangs over."""
    assert faults(page) == [], page.url


def picture(what: Page | Locator, name: str) -> None:
    """Keeps a picture for the documents, where DOCS_IMAGES names their directory."""
    if directory := os.environ.get("DOCS_IMAGES"):
        what.screenshot(path=f"{directory}/{name}.png")
