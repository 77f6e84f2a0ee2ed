"""The pages of this room in a real browser: accessible in both themes, whole at 320 px, no script refused."""

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, sync_playwright

from accounts.services import invite, organizations, setup, teams, tokens
from audit.clock import database_now
from tests.factories import a_stop

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; Django would take every query for one made within it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def paths(server, owner, admin, approver, viewer) -> dict[str, str]:
    """Every page of the room, by name, with something on it."""
    viewer.user.name = "Zoë <b>Viewer</b> \u202e"
    viewer.user.save(update_fields=["name"])
    team = teams.create(organization=owner.organization, name="Customer support, night shift", by=owner)
    teams.set_members(team=team, members=[viewer.pk, approver.pk], by=owner)
    email = "somebody.with.a.long.address@a-rather-long-name.example.com"
    link = invite.invite(organization=owner.organization, email=email, role="approver", by=owner).link
    token, _ = tokens.create(member=owner, name="nightly export", scopes=["logs:read"], days=30, by=owner)
    organizations.change(organization=owner.organization, by=owner, environments=["production", "eu-staging"])
    one = {name: reverse(f"accounts:{name}") for name in PLAIN}
    a_stop(owner.organization, pattern="stripe.refund.*")  # its banner is on every page
    asked = {"asked_at": database_now(), "asked_by_label": "ann@example.com", "release_reason": "The keys are rolled"}
    stop = a_stop(owner.organization, **asked)
    return one | {
        "member": reverse("accounts:member", args=[viewer.pk]),
        "member_remove": reverse("accounts:member_remove", args=[viewer.pk]),
        "team": reverse("accounts:team", args=[team.pk]),
        "team_rename": reverse("accounts:team_rename", args=[team.pk]),
        "team_delete": reverse("accounts:team_delete", args=[team.pk]),
        "token_revoke": reverse("accounts:token_revoke", args=[token.pk]),
        "stops": reverse("stops:list"),
        "stop_new": reverse("stops:new"),
        "stop_ask": reverse("stops:ask", args=[stop.stop_id]),
        "stop_release": reverse("stops:release", args=[stop.stop_id]),
        "join_other": link.removeprefix("http://127.0.0.1:8000"),
    }


PLAIN = [
    "settings", "members", "invitations", "invite", "teams", "team_new", "organization", "leave",
    "organization_new", "profile", "tokens", "token_new",
]  # fmt: skip


def logged_in(chromium: Browser, url: str, member, **options: object) -> Page:
    client = Client()
    client.force_login(member.user)
    context = chromium.new_context(bypass_csp=True, **options)  # axe brings a script
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    return context.new_page()


def check(page: Page, where: str) -> list[object]:
    found = Axe().run(page, options=RULES).response["violations"]
    wrong = [(where, each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        wrong.append((where, "hangs over", []))
    return wrong


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 320)])
def test_every_page_is_accessible_and_whole(chromium, server, owner, paths, theme, width):
    owner.user.theme = theme
    owner.user.save(update_fields=["theme"])
    page = logged_in(chromium, server.url, owner, viewport={"width": width, "height": 800})
    wrong: list[object] = []
    for name, path in paths.items():
        answer = page.goto(server.url + path)
        assert answer is not None
        assert answer.status == 200, name
        wrong += check(page, name)
    page.context.close()
    assert wrong == []


@pytest.mark.parametrize("width", [1280, 320])
def test_the_entrance_is_accessible_and_whole(chromium, server, organization, width):
    link = setup.new_link()
    assert link
    page = chromium.new_context(bypass_csp=True, viewport={"width": width, "height": 800}).new_page()
    wrong: list[object] = []
    for path in (link.removeprefix("http://127.0.0.1:8000"), "/setup/nothing", "/join/nothing", "/accounts/login/"):
        page.goto(server.url + path)
        wrong += check(page, path)
    page.context.close()
    assert wrong == []


def test_a_person_is_set_up_makes_a_token_and_pauses_all_in_a_browser(chromium, server, transactional_db):
    link = setup.new_link()
    assert link
    context = chromium.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("pageerror", lambda error: refused.append(str(error)))

    page.goto(server.url + link.removeprefix("http://127.0.0.1:8000"))
    page.get_by_label("Organization").fill("Acme")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password", exact=True).fill("a long way to tipperary")
    page.get_by_label("Password again").fill("a long way to tipperary")
    page.get_by_role("button", name="Make it and log in").click()
    page.get_by_role("navigation", name="Main").wait_for()

    page.goto(server.url + reverse("accounts:token_new"))
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Read the record").check()
    page.get_by_role("button", name="Make the token").click()
    assert page.locator("code", has_text="wpat_").first.is_visible()

    page.goto(server.url + reverse("stops:list"))
    page.get_by_role("link", name="Stop…").first.click()
    page.get_by_label("Why").fill("a drill")
    page.get_by_role("button", name="Stop").click()
    assert page.get_by_text("Stopped: every action of every agent").first.is_visible()
    page.get_by_role("link", name="Ask to release it").click()
    page.get_by_label("Why it can go on").fill("the drill is over")
    page.get_by_role("button", name="Ask to release it").click()
    page.get_by_role("link", name="Confirm the release…").click()  # she is alone: she types what goes on
    page.get_by_label("Type it to confirm").fill("acme")
    page.get_by_role("button", name="Release").click()
    assert page.get_by_text("Nothing is stopped").first.is_visible()
    context.close()
    assert refused == []
