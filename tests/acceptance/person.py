"""A person at a browser: Chromium, the real log-in form, the real buttons."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from playwright.sync_api import Page, expect, sync_playwright

from accounts.models import User

PASSWORD = "correct horse battery staple"


class Browser:
    """Chromium in a thread of its own: Playwright's event loop must not be where Django's queries run."""

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "chromium")
        self._thread.submit(self._start).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._stop).result()
        self._thread.shutdown()

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )

    def _stop(self) -> None:
        self._chromium.close()
        self._playwright.stop()

    def approve(self, who: User, approval_url: str, reason: str = "") -> None:
        """Logs `who` in, opens the page an agent was told of, and approves what stands there."""
        who.set_password(PASSWORD)
        who.save(update_fields=["password"])
        self._thread.submit(self._approve, who.email, approval_url, reason).result()

    def _approve(self, email: str, approval_url: str, reason: str) -> None:
        context = self._chromium.new_context()
        context.set_default_timeout(30_000)
        try:
            page = context.new_page()
            log_in(page, approval_url, email)
            page.goto(approval_url)
            page.get_by_role("button", name="Approve", exact=True).click()
            page.get_by_label("Why approve").fill(reason)
            page.locator("#decide").get_by_role("button", name="Approve").click()
            expect(page.get_by_text("The agent may go on")).to_be_visible(timeout=30_000)
        finally:
            context.close()


def log_in(page: Page, url: str, email: str) -> None:
    """Through the form, as everybody does."""
    origin = url.split("/approvals/")[0]
    page.goto(f"{origin}/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(lambda address: "/login" not in address)
