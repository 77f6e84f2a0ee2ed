"""Being told, in Chromium by nothing but keys: channels, deliveries, Slack, alerts, what a person wants to hear."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Membership
from audit.clock import database_now
from audit.ids import show_id
from notifications.models import (
    Alert,
    AlertRule,
    Announcement,
    Attempt,
    Channel,
    Delivery,
    Preference,
    SlackApp,
    SlackLink,
)
from notifications.services import preferences
from notifications.slack import links
from notifications.vault import seal
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, faults, press, tab_to, write
from tests.approvals.conftest import Acme, make_acme
from tests.notifications import conftest
from tests.notifications.sending import a_channel, send_all
from tests.server import Server
from tests.slack.fake import FakeSlack
from tests.slack.fake import Server as SlackServer

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "550 no such \u202eresu\u202c <b>here</b> " + "x" * 120


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    with SlackServer() as fake:
        yield fake


@pytest.fixture(scope="module")
def running_server(django_db_setup: None, slack: FakeSlack) -> Iterator[Server]:
    """Warden itself, whose Slack is the fake one, with an app of its own there."""
    client_id, client_secret = slack.client
    with Server(
        SLACK_API_URL=f"{slack.url}/api/",
        SLACK_CLIENT_ID=client_id,
        SLACK_CLIENT_SECRET=client_secret,
        SLACK_SIGNING_SECRET=slack.signing_secret,
    ) as server:
        yield server


@pytest.fixture
def acme(server: Server) -> Acme:
    return make_acme()


def connected(acme: Acme, slack: FakeSlack) -> SlackApp:
    return SlackApp.objects.create(
        organization=acme.organization,
        team_id=slack.team,
        team_name="Acme \u202ebots",
        bot_token=seal(slack.bot_token),
        signing_secret=seal(slack.signing_secret),
    )


def furnish(acme: Acme, slack: FakeSlack) -> list[str]:
    """Every page of the room, with something good and something bad on it."""
    now, team = database_now(), factories.a_team(acme.organization, acme.approver)
    app = connected(acme, slack)
    link = SlackLink.objects.create(user=acme.admin, team_id=slack.team, slack_user_id="U0ADMIN")
    slack.user("UNEW", real_name="Zoë \u202eeoZ")
    ops, _ = a_channel(
        acme,
        "slack",
        "C0OPS",
        name="Operations, night shift",
        events=["approval.requested", "approval.denied"],
        risks=["high", "critical"],
        environments=["production"],
        agents=[acme.bot.pk],
        teams=[team.pk],
    )
    gone, _ = a_channel(acme, "webhook", "https://hooks.example.com/warden/" + "x" * 120, name="Old receiver")
    mail, _ = a_channel(acme, "email", "ops@example.com", name="Operations by mail")
    Channel.objects.filter(pk=gone.pk).update(is_active=False, disabled_at=now, disabled_because=HOSTILE)
    made = []
    for state, channel, address, more in (
        ("sent", mail, "ops@example.com", {"sent_at": now, "text": "support-bot wants to refund $500.00\n" * 3}),
        ("failed", gone, gone.address, {"error": HOSTILE, "attempts": 10, "text": '{"type": "approval.requested"}'}),
        ("due", ops, "C0OPS", {"due_at": now + timedelta(hours=1), "attempts": 2, "error": "503"}),
        ("moot", None, "somebody.with.a.long.address@a-rather-long-name.example.com", {}),
    ):
        announcement = Announcement.objects.create(
            organization=acme.organization, mode="live", event="approval.requested", target="apr_" + "0" * 26
        )
        row = Delivery.objects.create(
            organization=acme.organization,
            mode="live",
            event="approval.requested",
            announcement=announcement,
            transport=channel.transport if channel else "email",
            channel=channel,
            address=address,
            subject="Refund $500.00 to cus_ABC123: support-bot asks",
            state=state,
            **more,
        )
        for succeeded in [False] * bool(row.attempts) + [True] * (state == "sent"):
            Attempt.objects.create(delivery=row, milliseconds=132, succeeded=succeeded, answer=row.error or "250 OK")
        made.append(row)
    rules = [
        AlertRule.objects.create(organization=acme.organization, name=name, measure=measure, threshold=0.3, **more)
        for name, measure, more in (
            ("Backlog", "backlog", {"severity": "critical"}),
            ("Denials \u202esnoitca", "denial_rate", {"muted_until": now + timedelta(hours=1)}),
            ("Errors", "error_rate", {"severity": "info", "is_active": False}),
        )
    ]
    rules[0].channels.add(ops, mail)
    for rule, value, more in (
        (rules[0], 12, {"told_at": now}),
        (rules[1], 0.42, {}),
        (rules[2], 0.08, {"resolved_at": now}),
    ):
        alert = Alert.objects.create(rule=rule, value=value, worst=value, **more)
        Alert.objects.filter(pk=alert.pk).update(fired_at=now - timedelta(minutes=70))
    preferences.change(
        membership=Membership.objects.get(user=acme.admin), mail="daily", timezone="America/Argentina/Buenos_Aires"
    )
    place, log, one = "/settings/channels", "/settings/deliveries", show_id("chn", gone.pk)
    return [
        place,
        f"{place}/new/webhook",
        f"{place}/{show_id('chn', ops.pk)}/edit",
        f"{place}/{one}",
        f"{place}/{one}/delete",
        log,
        f"{log}?state=failed&transport=webhook&q=hooks",
        f"{log}/{show_id('dlv', made[1].pk)}",
        f"{log}/{show_id('dlv', made[2].pk)}",
        f"{log}/{show_id('dlv', made[3].pk)}",
        "/settings/mail",
        "/settings/notifications",
        f"/settings/notifications/unsubscribe/{show_id('mem', link.user.memberships.get().pk)}",
        "/settings/slack",
        "/settings/slack/disconnect",
        "/profile/slack",
        links.offer(app, "UNEW"),
        "/settings/alerts/",
        "/settings/alerts/rules",
        f"/settings/alerts/rules/{show_id('alr', rules[1].pk)}",
    ]


@pytest.mark.parametrize(("scheme", "viewport"), [("light", NARROW), ("dark", WIDE)])
def test_the_pages_are_accessible_and_whole(
    acme: Acme, desk: Desk, slack: FakeSlack, scheme: str, viewport: dict[str, int]
) -> None:
    page = desk(acme.admin, "/settings/deliveries", color_scheme=scheme, viewport=viewport, bypass_csp=True)
    expect(page.get_by_text("Nothing was sent yet")).to_be_visible()
    home, empty = page.url.partition("/settings")[0], ("/settings/channels", "/settings/slack", "/settings/alerts/")
    wrong = [found for path in empty if (found := faults_of(page, home, path))]
    wrong += [found for path in furnish(acme, slack) if (found := faults_of(page, home, path))]
    assert wrong == []


def faults_of(page: Page, home: str, path: str) -> tuple[str, object] | None:
    answer = page.goto(home + path)
    assert answer is not None
    assert answer.status == 200, path
    page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
    found = faults(page)
    return (path, found) if found else None


def test_a_channel_is_made_routed_tried_and_tried_again(acme: Acme, desk: Desk, smtp: conftest.Desk) -> None:
    page = desk(acme.admin, "/settings/channels")
    press(page, page.get_by_role("link", name="E-mail", exact=True))
    write(page, page.get_by_label("Name"), "Operations")
    write(page, page.get_by_label("Address"), "nobody")
    tick(page, "Critical", "support-bot", "production")
    press(page, page.get_by_role("button", name="Make the channel"))
    press(page, page.get_by_role("alert").get_by_role("link", name="Address"))
    write(page, page.get_by_label("Address"), "ops@example.com")
    expect(page.get_by_label("Critical")).to_be_checked()  # what was typed is kept
    press(page, page.get_by_role("button", name="Make the channel"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Operations")
    expect(page.get_by_text(f"{acme.admin.email} made the channel")).to_be_visible()
    channel = Channel.objects.get()
    assert (channel.risks, channel.environments, channel.agents) == (["critical"], ["production"], [acme.bot.pk])

    smtp.answers = ["451 come back later", "250 OK, queued as 7F3A"]
    press(page, page.get_by_role("button", name="Send a test"))
    expect(page.get_by_text("Not tried yet")).to_be_visible()
    send_all()
    expect(page.get_by_text("451 come back later").first).to_be_visible(timeout=8_000)  # it looks again by itself
    press(page, page.get_by_role("button", name="Retry now"))
    expect(page.get_by_text("It is being sent now.")).to_be_visible()
    send_all()
    page.reload()
    expect(page.get_by_text("queued as 7F3A")).to_be_visible()
    assert [message["To"] for message in smtp.inbox] == ["ops@example.com"]

    press(page, page.get_by_role("main").get_by_role("link", name="Deliveries"))
    press(page, page.get_by_role("link", name="Given up"))
    expect(page.get_by_text("No delivery matches")).to_be_visible()
    press(page, page.get_by_role("link", name="Show all"))
    expect(page.locator("tbody tr")).to_have_count(1)


def tick(page: Page, *labels: str) -> None:
    for label in labels:
        tab_to(page, page.get_by_label(label, exact=True))
        page.keyboard.press("Space")


def test_a_workspace_is_connected_by_its_secrets_and_disconnected(acme: Acme, desk: Desk, slack: FakeSlack) -> None:
    page = desk(acme.admin, "/settings/slack", abroad=slack.url)
    press(page, page.locator("summary", has_text="where Slack reaches this Warden"))
    expect(page.get_by_text("/slack/interactions").first).to_be_visible()
    write(page, page.get_by_label("Bot token"), "xoxb-wrong")
    write(page, page.get_by_label("Signing secret"), slack.signing_secret)
    press(page, page.get_by_role("button", name="Connect"))
    expect(page.get_by_role("alert")).to_contain_text("does not accept the bot token")
    write(page, page.get_by_label("Bot token"), slack.bot_token)
    write(page, page.get_by_label("Signing secret"), slack.signing_secret)
    press(page, page.get_by_role("button", name="Connect"))
    expect(page.get_by_text("Connected to Acme.")).to_be_visible()
    expect(page.get_by_text(f"{acme.admin.email} connected Acme")).to_be_visible()
    assert slack.bot_token not in page.content()
    press(page, page.get_by_role("link", name="Disconnect"))
    press(page, page.get_by_role("button", name="Disconnect"))
    expect(page.get_by_text("Not connected")).to_be_visible()
    assert not SlackApp.objects.exists()
    press(page, page.get_by_role("link", name="Add to Slack"))  # Slack asks, and leads back
    expect(page.get_by_text("Connected to Acme.")).to_be_visible()
    assert SlackApp.objects.get().team_id == slack.team


def test_a_person_links_a_slack_user_and_unlinks_it(acme: Acme, desk: Desk, slack: FakeSlack) -> None:
    app, user = connected(acme, slack), slack.user("UANN", real_name="Ann")
    page = desk(acme.approver, links.offer(app, user))
    expect(page.get_by_text("Ann (@uann, UANN)")).to_be_visible()
    press(page, page.get_by_role("button", name="This is me: link it"))
    press(page, page.get_by_role("link", name="your account"))
    assert SlackLink.objects.get().user == acme.approver
    press(page, page.get_by_role("button", name="Unlink"))
    expect(page.get_by_text("Not linked")).to_be_visible()
    assert not SlackLink.objects.exists()


def test_a_person_says_when_she_wants_to_hear(acme: Acme, desk: Desk) -> None:
    page = desk(acme.approver, "/settings/notifications", locale="en-US")
    tab_to(page, page.get_by_label("A mail for each request"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    tab_to(page, page.get_by_label("Quiet from"))
    page.keyboard.type("1000PM")
    write(page, page.get_by_label("Time zone"), "Europe/Berlin")
    press(page, page.get_by_role("button", name="Save"))
    expect(page.get_by_role("alert")).to_contain_text("Quiet hours need a beginning and an end.")
    tab_to(page, page.get_by_label("Quiet until"))
    page.keyboard.type("0700AM")
    press(page, page.get_by_role("button", name="Save"))
    expect(page.get_by_text("The next digest goes out")).to_be_visible()
    chosen = Preference.objects.get()
    assert (chosen.mail, f"{chosen.quiet_from:%H}-{chosen.quiet_until:%H}") == ("daily", "22-07")


def test_a_rule_that_fires_is_muted(acme: Acme, desk: Desk) -> None:
    page = desk(acme.admin, "/settings/alerts/rules/new")
    write(page, page.get_by_label("Name"), "Too many")
    tab_to(page, page.get_by_label("Fires when"))
    page.keyboard.type("Requests that wait")
    write(page, page.get_by_label("is above"), "10")
    press(page, page.get_by_role("button", name="Create the rule"))
    expect(page.get_by_text("The rule is there.")).to_be_visible()
    Alert.objects.create(rule=AlertRule.objects.get(name="Too many"), value=12, worst=12, told_at=database_now())
    press(page, page.get_by_role("navigation", name="Alerts").get_by_role("link", name="Alerts"))
    press(page, page.get_by_role("link", name="Too many"))
    tab_to(page, page.get_by_label("Mute"))
    page.keyboard.type("Muted for 8")
    press(page, page.get_by_role("button", name="Save the rule"))
    expect(page.get_by_text("muted until")).to_be_visible()
