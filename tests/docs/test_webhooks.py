"""docs/webhooks.md: its example verifies what Warden sends, its body has the fields that are sent, its events exist."""

import json
from typing import Any

import pytest

from audit.clock import database_now
from notifications import delivery, registry
from notifications.models import Delivery
from notifications.transports import webhook
from tests import factories
from tests.approvals.conftest import make_acme
from tests.docs.pages import blocks, codes, table
from tests.notifications.conftest import Receiver, receiver  # noqa: F401 - a fixture
from tests.notifications.sending import a_channel, send_all, told

PAGE = "docs/webhooks.md"
pytestmark = pytest.mark.django_db(transaction=True)


def test_the_example_verifies_what_is_sent_and_the_body_is_as_shown(
    receiver: Receiver,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    acme = make_acme()
    _, secret = a_channel(acme, address=receiver.url)
    now = database_now()
    approval = factories.an_approval(
        agent=acme.bot, amount="500", state="approved", decided_at=now, claim_until=now, environment="production"
    )
    told(approval, "approval.approved")
    send_all()
    request = receiver.received[0]

    [example] = blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(compile(example.text, PAGE, "exec"), names)
    seen: set[str] = set()
    for _ in range(2):
        assert names["receive"](request.headers, request.body, secret, seen) == 204
    assert capsys.readouterr().out == f"approval.approved {approval.approval_id}\n"  # once
    assert names["receive"](request.headers, request.body + b" ", secret, set()) == 400
    assert names["receive"](request.headers, request.body, webhook.new_secret(), set()) == 400

    [shown] = [json.loads(block.text) for block in blocks(PAGE, "json") if block.label == "WebhookBody"]
    sent = json.loads(request.body)
    assert list(shown) == list(sent)
    assert list(shown["data"]) == list(sent["data"])
    assert list(shown["data"]["decision"]) == list(sent["data"]["decision"])


def test_the_events_are_those_that_channels_may_choose() -> None:
    shown = {codes(row["event"])[0]: row["when"] for row in table(PAGE, "event", "when")}
    assert shown == {name: words for name, words in registry.events().items() if not name.startswith("alert.")}


def test_the_numbers_are_those_of_the_code() -> None:
    rows = " ".join(row["Warden"] for row in table(PAGE, "you answer", "Warden"))
    assert f"{delivery.ATTEMPTS} times" in rows
    assert f"{webhook.GIVE_UP_REFUSED} times in all" in rows


def test_the_states_of_a_delivery() -> None:
    assert [row["state"] for row in table("docs/notifications.md", "state", "meaning")] == Delivery.State.values
