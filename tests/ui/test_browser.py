"""The components in a real browser: accessible in both themes, whole at 320 px, usable from the keyboard."""

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test.testcases import LiveServerThread
from playwright.sync_api import Page, sync_playwright

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Django in a thread, without the database: the style guide needs none, and this way it may not use one."""
    thread = LiveServerThread("127.0.0.1", StaticFilesHandler, connections_override={})
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    if thread.error:
        raise thread.error
    yield f"http://127.0.0.1:{thread.port}"
    thread.terminate()


@pytest.fixture
def design(server, settings) -> str:
    settings.ROOT_URLCONF = "tests.ui.urls"
    return f"{server}/design"


@pytest.fixture
def page(browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    refused: list[str] = []
    page.on(
        "console", lambda message: refused.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("pageerror", lambda error: refused.append(str(error)))
    yield page
    context.close()
    assert refused == []


@pytest.mark.parametrize(
    ("theme", "width", "mode"),
    [("light", 1440, "live"), ("dark", 1440, "test"), ("light", 320, "test"), ("dark", 320, "live")],
)
def test_nothing_fails_axe_and_nothing_hangs_over(browser, design, theme, width, mode):
    context = browser.new_context(viewport={"width": width, "height": 800}, bypass_csp=True)  # axe brings a script
    page = context.new_page()
    page.goto(f"{design}?theme={theme}&mode={mode}")
    found = Axe().run(page, options=RULES).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_every_target_is_at_least_24_pixels(page, design):
    page.goto(design)
    small = page.evaluate("""
        [...document.querySelectorAll("button, summary, select, input, a.btn, .tabs a, .facets a, .rail a, .crumbs a")]
        .filter((e) => e.offsetParent && !e.closest(".field label, .sr-only"))
        .filter((e) => Math.min(e.getBoundingClientRect().height, e.getBoundingClientRect().width) < 24)
        .filter((e) => !e.closest("label"))
        .map((e) => e.outerHTML)""")
    assert small == []


def test_j_and_k_walk_the_rows_and_d_only_goes_to_the_button(page, design):
    page.goto(design)
    page.locator("body").click(position={"x": 5, "y": 400})
    focused = "document.activeElement.textContent.trim()"
    page.keyboard.press("j")
    first = page.evaluate(focused)
    page.keyboard.press("j")
    assert page.evaluate(focused) != first
    page.keyboard.press("k")
    assert page.evaluate(focused) == first
    page.keyboard.press("d")
    assert page.evaluate(focused) == "Deny"
    page.keyboard.press("a")
    assert page.evaluate(focused) == "Approve"
    assert page.url == design


def test_keys_can_be_switched_off_and_do_nothing_while_typing(page, design):
    page.goto(design)
    page.fill("#reason", "")
    page.type("#reason", "a?dj")
    assert page.input_value("#reason") == "a?dj"
    page.locator("#reason").blur()
    page.keyboard.press("?")
    page.get_by_label("Use keyboard shortcuts in this browser").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("?")
    assert not page.locator("#keys").is_visible()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    assert page.locator("#keys").is_visible()


def test_news_is_a_button_and_moves_nothing(page, design):
    page.goto(design)
    page.evaluate("document.querySelector('.live').replaceChildren()")
    before = page.locator(".rows").bounding_box()
    page.get_by_role("link", name="2 new").wait_for(timeout=6000)
    assert page.locator(".rows").bounding_box() == before


def test_a_copied_text_is_exact(page, design):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(design)
    page.get_by_role("button", name="Copy the key").click()
    assert page.evaluate("navigator.clipboard.readText()") == "ak_live_Zm9vYmFyYmF6cXV4"


def test_focus_is_never_under_a_bar(page, design):
    page.set_viewport_size({"width": 390, "height": 700})
    page.goto(design)
    for _ in range(70):
        page.keyboard.press("Tab")
        hidden = page.evaluate("""(() => {
            const e = document.activeElement, box = e.getBoundingClientRect();
            if (e === document.body || e.closest(".decide, .rail, .top, .skip")) return "";
            const bars = [...document.querySelectorAll(".decide, .rail, .top")].map((b) => b.getBoundingClientRect());
            return bars.some((b) => box.top >= b.top && box.bottom <= b.bottom && b.width > 0) ? e.outerHTML : "";
        })()""")
        assert hidden == ""


def test_the_page_works_without_javascript(browser, design):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(design)
    assert not page.get_by_role("button", name="Keyboard shortcuts").is_visible()
    page.get_by_text('"currency"').click()
    assert page.get_by_role("button", name="Approve").first.is_visible()
    page.locator(".org summary").click()
    assert page.get_by_role("button", name="An organization with quite a long name").is_visible()
    context.close()
