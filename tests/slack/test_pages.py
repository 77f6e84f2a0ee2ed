"""Connecting a workspace, linking oneself, and what the environment configures."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import Membership, User
from accounts.services import tokens
from audit.clock import database_now
from audit.models import Event
from notifications.models import Channel, SlackApp, SlackLink
from notifications.slack import apps, links
from notifications.vault import unseal
from tests import factories
from tests.approvals.conftest import Acme
from tests.slack.conftest import Hand, Office
from tests.slack.fake import FakeSlack

Enter = Callable[[User], Client]
PAGE = "/settings/slack"
SECRETS = {"bot_token": "xoxb-fake", "signing_secret": "s3cret-signing", "app_token": ""}


def test_an_admin_connects_a_workspace_and_the_secrets_are_sealed(acme: Acme, enter: Enter, slack: FakeSlack) -> None:
    answer = enter(acme.admin).post(PAGE, SECRETS)
    assert answer.status_code == 302
    app = SlackApp.objects.get()
    assert (app.organization, app.team_id, app.team_name) == (acme.organization, "T0ACME", "Acme")
    assert "xoxb" not in app.bot_token
    assert unseal(app.bot_token) == "xoxb-fake"
    page = enter(acme.admin).get(PAGE).content.decode()
    assert "T0ACME" in page
    assert "xoxb-fake" not in page
    assert "s3cret-signing" not in page
    event = Event.objects.get(kind="person:slack:connect")
    assert "xoxb" not in event.body
    assert "s3cret" not in event.body


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({"bot_token": "xoxb-wrong", "signing_secret": "s"}, "does not accept the bot token"),
        ({"bot_token": "xapp-fake", "signing_secret": "s"}, "not a bot token"),
        ({"bot_token": "", "signing_secret": "s"}, "Enter the bot token"),
        ({"bot_token": "xoxb-fake"}, "Enter the signing secret"),
        ({"bot_token": "xoxb-fake", "app_token": "nonsense"}, "not an app token"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(
    acme: Acme, enter: Enter, slack: FakeSlack, secrets: dict[str, str], said: str
) -> None:
    answer = enter(acme.admin).post(PAGE, secrets)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not SlackApp.objects.exists()


def test_slack_that_is_down_is_said(acme: Acme, enter: Enter, settings: Any) -> None:
    settings.SLACK_API_URL = "http://127.0.0.1:9/api/"
    assert "could not be reached" in enter(acme.admin).post(PAGE, SECRETS).content.decode()


def test_empty_fields_keep_what_is_stored(office: Office, enter: Enter) -> None:
    enter(office.acme.admin).post(PAGE, {"bot_token": "", "signing_secret": "", "app_token": "xapp-1"})
    app = SlackApp.objects.get()
    assert unseal(app.signing_secret) == office.slack.signing_secret
    assert unseal(app.bot_token) == "xoxb-fake"
    assert unseal(app.app_token) == "xapp-1"


def test_a_workspace_belongs_to_one_organization(office: Office, enter: Enter) -> None:
    answer = enter(office.acme.stranger).post(PAGE, SECRETS)
    assert "connected to another organization" in answer.content.decode()
    assert SlackApp.objects.count() == 1


def test_the_page_shows_a_manifest_with_our_addresses(acme: Acme, enter: Enter) -> None:
    from notifications.slack.manifest import manifest

    said = json.loads(manifest(socket_mode=False))
    assert said["settings"]["interactivity"]["request_url"] == "http://127.0.0.1:8000/slack/interactions"
    assert said["features"]["slash_commands"][0]["url"] == "http://127.0.0.1:8000/slack/commands"
    assert "127.0.0.1" not in manifest(socket_mode=True)
    assert "/slack/interactions" in enter(acme.admin).get(PAGE).content.decode()


@pytest.mark.parametrize("role", ["approver", "viewer"])
def test_who_may_not_read_settings_sees_nothing(acme: Acme, enter: Enter, role: str) -> None:
    assert enter(getattr(acme, role)).get(PAGE).status_code == 403


def test_an_auditor_reads_and_changes_nothing(office: Office, enter: Enter) -> None:
    client = enter(office.acme.auditor)
    page = client.get(PAGE).content.decode()
    assert "T0ACME" in page
    assert 'name="bot_token"' not in page
    assert client.post(PAGE, SECRETS).status_code == 403
    assert client.post(f"{PAGE}/disconnect").status_code == 403
    assert client.get(f"{PAGE}/install").status_code == 403


def test_disconnecting_is_asked_and_then_nothing_works(office: Office, enter: Enter) -> None:
    office.request()
    client = enter(office.acme.admin)
    assert 'Disconnect <bdi class="hostile" dir="ltr">Acme</bdi>?' in client.get(f"{PAGE}/disconnect").content.decode()
    assert SlackApp.objects.exists()
    client.post(f"{PAGE}/disconnect")
    assert not SlackApp.objects.exists()
    assert Event.objects.filter(kind="person:slack:disconnect").count() == 1
    assert office.hand.click("UANN", office.card, "Approve").status_code == 401


def test_a_test_message_is_posted(office: Office, enter: Enter) -> None:
    from accounts.models import Membership
    from notifications.services import channels

    by = Membership.objects.get(user=office.acme.admin)
    channels.send_test(channel=office.channel, by=by)
    office.deliver()
    assert len(office.slack.posted()) == 1


@pytest.fixture
def client_id(settings: Any) -> None:
    settings.SLACK_CLIENT_ID, settings.SLACK_CLIENT_SECRET, settings.SLACK_SIGNING_SECRET = "1.2", "client-secret", "s"


def install(client: Client) -> str:
    """Begins an installation; returns the state that goes to Slack."""
    answer = client.get(f"{PAGE}/install")
    query = parse_qs(urlsplit(answer["Location"]).query)
    assert urlsplit(answer["Location"]).path == "/oauth/v2/authorize"
    assert query["redirect_uri"] == ["http://127.0.0.1:8000/slack/oauth"]
    return query["state"][0]


def test_an_installation_by_oauth(acme: Acme, enter: Enter, slack: FakeSlack, client_id: None) -> None:
    client = enter(acme.admin)
    state = install(client)
    client.get("/slack/oauth", {"code": "good-code", "state": state})
    assert SlackApp.objects.get().team_id == "T0ACME"
    SlackApp.objects.all().delete()
    client.get("/slack/oauth", {"code": "good-code", "state": state})  # once
    assert not SlackApp.objects.exists()


@pytest.mark.parametrize("query", [{"state": "x"}, {}, {"code": "good-code"}, {"state": "", "code": "good-code"}])
def test_an_answer_with_another_state_connects_nothing(
    acme: Acme, enter: Enter, slack: FakeSlack, client_id: None, query: dict[str, str]
) -> None:
    client = enter(acme.admin)
    install(client)
    client.get("/slack/oauth", {"code": "good-code", **query})
    assert not SlackApp.objects.exists()
    assert not slack.called("oauth.v2.access")


def test_a_state_of_another_session_connects_nothing(
    acme: Acme, enter: Enter, slack: FakeSlack, client_id: None
) -> None:
    state = install(enter(acme.admin))
    other = Client()
    other.force_login(acme.owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    other.get("/slack/oauth", {"code": "good-code", "state": state})
    assert not SlackApp.objects.exists()


def test_an_installation_that_was_cancelled_or_refused_says_so(
    acme: Acme, enter: Enter, slack: FakeSlack, client_id: None
) -> None:
    client = enter(acme.admin)
    page = client.get("/slack/oauth", {"error": "access_denied", "state": install(client)}, follow=True)
    assert "cancelled" in page.content.decode()
    page = client.get("/slack/oauth", {"code": "bad", "state": install(client)}, follow=True)
    assert "invalid_code" in page.content.decode()
    assert not SlackApp.objects.exists()


# Linking


def test_a_link_that_is_late_forged_or_for_strangers_links_nobody(office: Office, enter: Enter) -> None:
    office.slack.user("UNEW")
    path = links.offer(office.app, "UNEW")
    assert enter(office.acme.stranger).post(path).status_code == 410
    client = enter(office.acme.viewer)
    assert client.post(path[:-2] + "xx").status_code == 410
    assert client.post("/slack/link/nonsense").status_code == 410
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
    links_offer = links.LASTS
    try:
        links.LASTS = -1
        assert client.post(links.offer(office.app, "UNEW")).status_code == 410
    finally:
        links.LASTS = links_offer
    assert not SlackLink.objects.filter(slack_user_id="UNEW").exists()


def test_a_slack_user_is_one_person_and_a_person_has_one(office: Office, enter: Enter) -> None:
    client = enter(office.acme.viewer)
    answer = client.post(links.offer(office.app, "UANN"))
    assert answer.status_code == 410
    assert "linked to another account" in answer.content.decode()
    client = enter(office.acme.approver)
    client.post(links.offer(office.app, office.slack.user("UANN2")))
    assert [link.slack_user_id for link in SlackLink.objects.filter(user=office.acme.approver)] == ["UANN2"]


def test_people_unlink_themselves_and_nobody_else(office: Office, enter: Enter) -> None:
    mine = SlackLink.objects.get(slack_user_id="UANN")
    client = enter(office.acme.colleague)
    client.post(f"/profile/slack/{mine.pk}/unlink")
    assert SlackLink.objects.filter(pk=mine.pk).exists()
    client = enter(office.acme.approver)
    assert "UANN" in client.get("/profile/slack").content.decode()
    client.post(f"/profile/slack/{mine.pk}/unlink")
    assert not SlackLink.objects.filter(pk=mine.pk).exists()
    assert Event.objects.filter(kind="person:slack:unlink").count() == 1
    approval = office.request()
    office.hand.click("UANN", office.card, "Approve")
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_link_slack_on_the_command_line(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("link_slack", office.acme.admin.email, "--team", "T0ACME", "--user", "U0ADMIN", "--json")
    assert json.loads(capsys.readouterr().out)["user"] == "U0ADMIN"
    assert SlackLink.objects.get(user=office.acme.admin).team_id == "T0ACME"
    assert Event.objects.filter(kind="system:slack:link").count() == 1
    with pytest.raises(CommandError, match="linked to another account"):
        call_command("link_slack", office.acme.viewer.email, "--team", "T0ACME", "--user", "U0ADMIN")
    with pytest.raises(CommandError, match="identifier"):
        call_command("link_slack", office.acme.viewer.email, "--team", "acme", "--user", "U0ADMIN")


# The environment


@pytest.fixture
def environment(settings: Any, slack: FakeSlack) -> FakeSlack:
    settings.SLACK_BOT_TOKEN, settings.SLACK_SIGNING_SECRET = slack.bot_token, slack.signing_secret
    settings.SLACK_CHANNEL = "C0OPS"
    return slack


@pytest.mark.django_db
def test_the_environment_configures_the_first_organization_once(environment: FakeSlack, settings: Any) -> None:
    first, _ = factories.an_organization(), factories.an_organization()
    apps.adopt()
    apps.adopt()
    app, channel = SlackApp.objects.get(), Channel.objects.get()
    assert (app.organization, channel.organization, channel.address) == (first, first, "C0OPS")
    assert Event.objects.filter(kind="system:slack:connect").count() == 1
    assert not environment.calls  # a Slack that is down does not keep Warden from starting
    settings.SLACK_BOT_TOKEN, settings.SLACK_CHANNEL = "xoxb-new", "C0NEW"
    apps.adopt()
    assert unseal(SlackApp.objects.get().bot_token) == "xoxb-new"
    assert Channel.objects.get().address == "C0NEW"


def test_clicks_count_before_anything_was_posted(acme: Acme, environment: FakeSlack, client: Client) -> None:
    """Which workspace the environment's token is of: Slack is asked when it first matters, by signed calls alone."""

    organization = apps.first_organization()
    assert organization
    apps.adopt()
    hand = Hand(environment, client)
    hand.slack.user("UANN")
    assert hand.send("/slack/commands", b"team_id=T0ACME&user_id=UANN", signature="v0=" + "0" * 64).status_code == 401
    assert not environment.calls
    assert hand.type("UANN").status_code == 200
    assert SlackApp.objects.get().team_id == "T0ACME"


def test_the_page_says_that_the_environment_configures(environment: FakeSlack, acme: Acme, enter: Enter) -> None:
    apps.adopt()
    first = apps.first_organization()
    admin = factories.a_member(first, "admin")  # type: ignore[arg-type]
    client = enter(admin)
    page = client.get(PAGE).content.decode()
    assert "The environment configures Slack" in page
    assert 'name="bot_token"' not in page
    assert client.post(PAGE, SECRETS).status_code == 403
    for path in (f"{PAGE}/install", f"{PAGE}/disconnect", "/slack/oauth"):
        assert client.get(path).status_code == 403
    assert client.post(f"{PAGE}/disconnect").status_code == 403
    assert SlackApp.objects.exists()


def run(*words: str) -> Any:
    out = io.StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_workspace_is_connected_shown_and_disconnected_by_command(
    acme: Acme, slack: FakeSlack, tmp_path: Path, settings: Any
) -> None:
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(f"{secret}\n")
    ours = ("--organization", acme.organization.slug)
    secrets = (
        "--bot-token-file",
        str(tmp_path / "bot_token"),
        "--signing-secret-file",
        str(tmp_path / "signing_secret"),
    )
    files = (*secrets, *ours)
    made = run("connect_slack", *files)
    assert (made["team"], made["socket_mode"], made["is_active"]) == ("T0ACME", False, True)
    assert unseal(SlackApp.objects.get().signing_secret) == SECRETS["signing_secret"]
    assert run("show_slack", *ours) == made
    assert made["line_is_open"] is None
    SlackApp.objects.update(app_token="sealed", line_at=database_now())
    assert run("show_slack", *ours)["line_is_open"] is True
    assert not any(secret in str(made) for secret in SECRETS.values() if secret)
    assert Event.objects.filter(kind="system:slack:connect").count() == 1
    settings.SLACK_BOT_TOKEN = "xoxb-fake"
    with pytest.raises(CommandError, match="environment"):
        run("connect_slack", *files)
    run("disconnect_slack", *ours)
    assert run("show_slack", *ours) is None


def test_a_script_connects_a_workspace_as_the_page_does(acme: Acme, slack: FakeSlack) -> None:
    member = Membership.objects.get(user=acme.admin)
    _, token = tokens.create(
        member=member, name="script", scopes=["settings:read", "settings:write"], days=None, by=member
    )

    def call(method: str, body: Any = None) -> Any:
        return Client().generic(
            method,
            "/api/slack",
            json.dumps(body) if body else "",
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

    assert call("GET").status_code == 404
    made = call("PUT", {"bot_token": SECRETS["bot_token"], "signing_secret": SECRETS["signing_secret"]})
    assert (made.status_code, made.json()["team"]) == (200, "T0ACME"), made.content
    assert SECRETS["signing_secret"] not in made.content.decode() + call("GET").content.decode()
    assert call("PUT", {"bot_token": "xoxp-wrong"}).status_code in (403, 409, 422)
    assert call("DELETE").status_code == 204
    assert not SlackApp.objects.exists()
