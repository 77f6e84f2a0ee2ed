"""Acme connected to a fake Slack, its approvers linked, and a hand that clicks."""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from approvals.models import Approval
from approvals.slack import who
from notifications import delivery
from notifications.models import Channel, Delivery, SlackApp, SlackLink
from notifications.outbox import announce
from notifications.vault import seal
from tests import factories
from tests.approvals import conftest as desk
from tests.approvals.conftest import Acme, make_acme
from tests.slack.fake import FakeSlack, Server

_triggers = itertools.count(1)
acme, enter = desk.acme, desk.enter  # fixtures, for every test here


def sign(secret: str, body: bytes, timestamp: str) -> str:
    """As docs.slack.dev/authentication/verifying-requests-from-slack says."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


@dataclass
class Hand:
    """Somebody's hand in Slack: what it does reaches Warden as Slack would send it."""

    slack: FakeSlack
    client: Client

    def send(self, path: str, body: bytes, kind: str = "application/x-www-form-urlencoded", **more: Any) -> Any:
        """A signed request. `timestamp`, `signature` and `headers` replace what Slack would send."""
        timestamp = more.get("timestamp", str(int(time.time())))
        signature = more.get("signature") or sign(self.slack.signing_secret, body, timestamp)
        headers = {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature, **more.get("headers", {})}
        return self.client.post(path, body, content_type=kind, headers=headers)

    def interact(self, payload: dict[str, Any], **more: Any) -> Any:
        return self.send("/slack/interactions", urlencode({"payload": json.dumps(payload)}).encode(), **more)

    def click(self, user: str, message: dict[str, Any], label: str, **changes: Any) -> Any:
        """Presses the button with that label on a card that stands in the channel."""
        return self.interact(self.clicked(user, message, label) | changes)

    def clicked(self, user: str, message: dict[str, Any], label: str) -> dict[str, Any]:
        button = button_of(message, label)
        trigger = f"trigger.{next(_triggers)}"
        self.slack.triggers.add(trigger)
        return {
            "type": "block_actions",
            "user": {"id": user, "username": user.lower(), "team_id": self.slack.users[user]["team_id"]},
            "team": {"id": self.slack.team, "domain": "acme"},
            "enterprise": {"id": self.slack.enterprise} if self.slack.enterprise else None,
            "api_app_id": "A0APP",
            "container": {"type": "message", "message_ts": message["ts"], "channel_id": message["channel"]},
            "channel": {"id": message["channel"], "name": "ops"},
            "trigger_id": trigger,
            "response_url": f"{self.slack.url}/response/{trigger}",
            "actions": [{"type": "button", "action_ts": f"{time.time():.6f}", **button}],
        }

    def submit(self, user: str, view: dict[str, Any], reason: str | None) -> Any:
        """Sends a dialog that was opened."""
        return self.interact(self.submitted(user, view, reason))

    def submitted(self, user: str, view: dict[str, Any], reason: str | None) -> dict[str, Any]:
        values = {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}
        return {
            "type": "view_submission",
            "user": {"id": user, "team_id": self.slack.users[user]["team_id"]},
            "team": {"id": self.slack.team, "domain": "acme"},
            "view": {"id": "V1", "app_installed_team_id": self.slack.team, "state": {"values": values}, **view},
        }

    def type(self, user: str, command: str = "/warden") -> Any:
        form = {"team_id": self.slack.team, "user_id": user, "command": command, "text": "", "channel_id": "C0OPS"}
        form["trigger_id"] = f"trigger.{next(_triggers)}"
        return self.send("/slack/commands", urlencode(form).encode())

    def event(self, **told: Any) -> Any:
        body = {"type": "event_callback", "team_id": self.slack.team, "event": told}
        return self.send("/slack/events", json.dumps(body).encode(), "application/json")


@dataclass
class Office:
    """All of it, for a test."""

    acme: Acme
    slack: FakeSlack
    app: SlackApp
    channel: Channel
    hand: Hand

    def request(self, **fields: Any) -> Approval:
        """A request of the bot, announced, and its card posted."""
        with transaction.atomic():
            approval = factories.an_approval(agent=self.acme.bot, **fields)
            announce([(approval.organization_id, approval.mode, "approval.requested", approval.approval_id)])
        self.deliver()
        return approval

    def deliver(self) -> list[Delivery]:
        """The worker, once: fans out, and sends what Slack is owed. Returns the deliveries that are still due."""
        while delivery.fan_out():
            pass
        for found in Delivery.objects.filter(transport="slack", state="due").order_by("id"):
            delivery.deliver(found.id)
        return list(Delivery.objects.filter(transport="slack", state="due"))

    def link(self, user: User, name: str, **facts: Any) -> str:
        SlackLink.objects.create(user=user, team_id=self.slack.team, slack_user_id=name)
        return self.slack.user(name, **facts)

    @property
    def card(self) -> dict[str, Any]:
        """The one card in the channel."""
        (message,) = self.slack.posted()
        return message


def button_of(message: dict[str, Any], label: str) -> dict[str, Any]:
    """What Slack sends of the button that was pressed."""
    for block in message["blocks"]:
        for element in block.get("elements", []):
            if element.get("type") == "button" and element["text"]["text"] == label:
                return {name: element[name] for name in ("action_id", "value") if name in element}
    raise AssertionError(f"no button {label!r}")


def labels(message: dict[str, Any]) -> list[str]:
    return [
        element["text"]["text"]
        for block in message["blocks"]
        for element in block.get("elements", [])
        if element.get("type") == "button"
    ]


def words(message: dict[str, Any] | HttpResponse) -> str:
    """Everything a message shows, in one text."""
    return "\n".join(_texts(message.json() if isinstance(message, HttpResponse) else message))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") in ("plain_text", "mrkdwn"):
            yield value["text"]
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


@pytest.fixture
def slack(settings: Any) -> Iterator[FakeSlack]:
    with Server() as fake:
        settings.SLACK_API_URL = f"{fake.url}/api/"
        who.forget()
        yield fake


def furnish(slack: FakeSlack, client: Client) -> Office:
    acme = make_acme()
    app = SlackApp.objects.create(
        organization=acme.organization,
        team_id=slack.team,
        team_name="Acme",
        bot_user_id="U0BOT",
        bot_token=seal(slack.bot_token),
        signing_secret=seal(slack.signing_secret),
    )
    channel = Channel.objects.create(organization=acme.organization, transport="slack", name="Ops", address="C0OPS")
    office = Office(acme, slack, app, channel, Hand(slack, client))
    office.link(acme.approver, "UANN")
    office.link(acme.colleague, "UBOB")
    return office


@pytest.fixture
def office(db: None, slack: FakeSlack, client: Client) -> Office:
    return furnish(slack, client)
