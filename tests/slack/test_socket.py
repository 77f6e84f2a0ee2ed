"""Socket Mode, through slack-sdk's own client: Warden holds the line, and a click on it counts once."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from approvals.models import Approval, Review
from approvals.slack.views import heard
from audit.clock import database_now
from notifications.models import SlackApp
from notifications.slack.socket import UNHELD, Lines
from notifications.vault import seal
from tests.slack.conftest import Office, furnish
from tests.slack.fake import FakeSlack
from tests.slack.sockets import Line

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def line(slack: FakeSlack, office: Office) -> Iterator[Line]:
    """The line that Warden opened."""
    SlackApp.objects.update(app_token=seal(slack.app_token), signing_secret="")
    stop = threading.Event()
    lines = Lines(heard)
    thread = threading.Thread(target=lines.run, args=[stop])
    thread.start()
    deadline = time.monotonic() + 10
    while not slack.lines and time.monotonic() < deadline:
        time.sleep(0.05)
    yield slack.lines[0]
    stop.set()
    thread.join()


@pytest.fixture
def office(transactional_db: None, slack: FakeSlack, client: Client) -> Office:
    return furnish(slack, client)


def test_a_click_comes_by_the_line_and_counts_once(office: Office, line: Line) -> None:
    approval = office.request()
    payload = office.hand.clicked("UANN", office.card, "Approve")
    for _ in range(3):
        line.push("interactive", "e1", payload)
        assert line.acknowledged()["envelope_id"] == "e1"
    line.push("interactive", "e2", payload)
    assert line.acknowledged()["envelope_id"] == "e2"
    approval.refresh_from_db()
    assert approval.state == "approved"
    assert Review.objects.count() == 1


def test_the_settings_page_says_whether_somebody_holds_the_line(office: Office, line: Line, enter: Any) -> None:
    browser, deadline = enter(office.acme.admin), time.monotonic() + 10
    while SlackApp.objects.get().line_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "the line is open" in browser.get("/settings/slack").content.decode()
    SlackApp.objects.update(line_at=database_now() - UNHELD)
    assert "Nobody holds Slack's line" in browser.get("/settings/slack").content.decode()


def test_a_line_that_slack_wants_anew_is_opened_anew_and_a_click_on_it_counts(
    office: Office, line: Line, slack: FakeSlack
) -> None:
    approval = office.request()
    line.refresh()
    deadline = time.monotonic() + 10
    while len(slack.lines) < 2:
        assert time.monotonic() < deadline, "no second line"
        time.sleep(0.05)
    slack.lines[1].push("interactive", "e1", office.hand.clicked("UANN", office.card, "Approve"))
    assert slack.lines[1].acknowledged()["envelope_id"] == "e1"
    approval.refresh_from_db()
    assert approval.state == "approved"


def test_a_dialog_and_a_command_are_answered_on_the_line(office: Office, line: Line) -> None:
    approval = office.request()
    view = {"callback_id": "warden_deny", "private_metadata": f"{approval.approval_id} {approval.digest}"}
    line.push("interactive", "e1", office.hand.submitted("UANN", view, ""))
    assert line.acknowledged()["payload"]["response_action"] == "errors"
    line.push("slash_commands", "e2", {"team_id": "T0ACME", "user_id": "UANN", "command": "/warden"})
    assert "waiting for you" in line.acknowledged()["payload"]["text"]
    assert Approval.objects.get().state == "pending"


def test_another_workspace_on_the_line_decides_nothing(office: Office, line: Line) -> None:
    office.request()
    payload = office.hand.clicked("UANN", office.card, "Approve") | {"team": {"id": "T0ELSE"}}
    line.push("interactive", "e1", payload)
    line.acknowledged()
    assert Approval.objects.get().state == "pending"


def test_what_could_not_be_handled_is_not_acknowledged(office: Office, line: Line) -> None:
    SlackApp.objects.update(is_active=False)
    line.push("interactive", "e1", {"type": "block_actions", "team": {"id": "T0ACME"}})
    with pytest.raises(queue.Empty):
        line.acknowledged(1.0)
