"""Channels: what each hears of, and the pages where they are made, tested, mended and deleted."""

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit.ids import show_id
from audit.models import Event
from notifications import channels, delivery, vault
from notifications.models import Channel, Delivery
from notifications.registry import Facts
from tests import factories
from tests.approvals.conftest import Acme, enter, make_acme  # noqa: F401 - a fixture
from tests.hostile import TEXTS, problems
from tests.notifications.conftest import Desk, Receiver
from tests.notifications.sending import a_channel, make_due, requested, send_all, told

pytestmark = pytest.mark.django_db(transaction=True)
Enter = Callable[..., Client]
PAGE = "/settings/channels"
BOT, OTHER, TEAM = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
FACTS = Facts(agent_id=BOT, teams=frozenset({TEAM}), risk="high", environment="production")


@pytest.fixture
def acme() -> Acme:
    return make_acme()


def page_of(channel: Channel) -> str:
    return f"{PAGE}/{show_id('chn', channel.pk)}"


@pytest.mark.parametrize(
    ("filters", "hears"),
    [
        ({}, True),
        ({"events": ["approval.requested", "approval.denied"]}, True),
        ({"events": ["approval.denied"]}, False),
        ({"agents": [OTHER, BOT]}, True),
        ({"agents": [OTHER]}, False),
        ({"teams": [TEAM]}, True),
        ({"teams": [OTHER]}, False),
        ({"risks": ["high", "critical"]}, True),
        ({"risks": ["low"]}, False),
        ({"environments": ["production"]}, True),
        ({"environments": ["staging"]}, False),
        ({"agents": [BOT], "risks": ["high"], "environments": ["production"], "teams": [TEAM]}, True),
        ({"agents": [BOT], "risks": ["low"]}, False),
    ],
)
def test_a_filter_lets_through_what_it_names(filters: dict[str, Any], hears: bool) -> None:
    assert channels.lets_through(Channel(**filters), "approval.requested", FACTS) is hears


def test_requests_go_where_their_agent_team_risk_and_environment_say(acme: Acme, smtp: Desk) -> None:
    team = factories.a_team(acme.organization, acme.colleague)
    theirs = factories.an_agent(acme.organization, owner=team)
    for name, filters in {
        "everything": {},
        "bot": {"agents": [acme.bot.pk]},
        "team": {"teams": [team.pk]},
        "risky": {"risks": ["high", "critical"]},
        "staging": {"environments": ["staging"]},
        "ends": {"events": ["approval.denied"]},
    }.items():
        a_channel(acme, "email", f"{name}@example.com", name=name, **filters)
    one = requested(acme, risk="high", environment="staging")
    two = factories.an_approval(agent=theirs, risk="low", environment="production")
    told(two)
    send_all()
    heard: dict[str, set[str]] = {}
    for row in Delivery.objects.exclude(channel=None).select_related("announcement"):
        heard.setdefault(row.announcement.target, set()).add(row.address.partition("@")[0])
    assert heard == {
        one.approval_id: {"everything", "bot", "risky", "staging"},
        two.approval_id: {"everything", "team"},
    }


def test_an_admin_makes_a_webhook_and_sees_its_secret_once(acme: Acme, enter: Enter) -> None:  # noqa: F811
    client = enter(acme.admin)
    assert "No channels yet" in client.get(PAGE).content.decode()
    form = {"transport": "webhook", "name": "Orders", "address": "https://hooks.example.com/warden", "risks": ["high"]}
    shown = client.post(f"{PAGE}/new/webhook", form)
    assert shown.status_code == 200
    assert "no-store" in shown["Cache-Control"]
    [secret] = set(re.findall(r"whsec_[A-Za-z0-9+/=]{40,}", shown.content.decode()))
    channel = Channel.objects.get()
    assert vault.unseal(channel.secret) == secret
    assert secret not in channel.secret  # sealed at rest
    assert (channel.risks, channel.mode, channel.created_by) == (["high"], "live", acme.admin)
    for page in (PAGE, page_of(channel), f"{page_of(channel)}/edit", f"{page_of(channel)}/secret"):
        text = client.get(page).content.decode()
        assert "whsec_" not in text
        assert "Orders" in text
    assert "Everything, at high risk." in client.get(PAGE).content.decode()
    assert "whsec_" not in Event.objects.get(kind="person:channel:create").body
    again = client.post(f"{page_of(channel)}/secret").content.decode()
    assert secret not in again
    channel.refresh_from_db()
    assert vault.unseal(channel.secret) in again.replace("&#x3D;", "=")


@pytest.mark.parametrize(
    ("transport", "form", "said"),
    [
        ("webhook", {"name": "x", "address": "https://10.0.0.1/"}, "This address is private."),
        ("webhook", {"name": "x", "address": "ftp://example.com/"}, "The URL must start with"),
        ("webhook", {"name": "", "address": "https://example.com/"}, "This field is required."),
        ("email", {"name": "x", "address": "nobody"}, "Enter a valid email address."),
        ("slack", {"name": "x", "address": ""}, "This field is required."),
        ("email", {"name": "x", "address": "a@example.com", "risks": ["huge"]}, "not one of the available choices"),
    ],
)
def test_what_makes_no_sense_is_said_and_what_was_typed_stays(
    acme: Acme,
    enter: Enter,  # noqa: F811
    transport: str,
    form: dict[str, Any],
    said: str,
) -> None:
    answer = enter(acme.admin).post(f"{PAGE}/new/{transport}", form | {"transport": transport})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    if form["address"]:
        assert form["address"] in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_test_message_goes_the_way_of_all_and_shows_what_came_of_it(
    acme: Acme,
    enter: Enter,  # noqa: F811
    receiver: Receiver,
) -> None:
    channel, _ = a_channel(acme, address=receiver.url)
    client = enter(acme.admin)
    answer = client.post(f"{page_of(channel)}/test")
    assert answer.status_code == 302
    where = answer["Location"]
    assert where.startswith("/settings/deliveries/dlv_")
    waiting = client.get(where).content.decode()
    assert "Not tried yet" in waiting
    assert 'hx-trigger="every 5s"' in waiting
    receiver.answers = [(503, {}, b"not now"), (200, {}, b"welcome")]
    send_all()
    shown = client.get(where).content.decode()
    assert "503 not now" in shown
    assert "Retry now" in shown
    client.post(f"{where}/retry")
    send_all()
    shown = client.get(where).content.decode()
    for words in ("Sent", "503 not now", "200 welcome", "channel.test"):
        assert words in shown
    assert "Retry now" not in shown
    assert "200 welcome" not in client.get(page_of(channel)).content.decode()  # details are on the delivery's page
    kinds = Event.objects.filter(kind__startswith="person:").values_list("kind", flat=True)
    assert {"person:channel:test", "person:delivery:retry"} <= set(kinds)


def test_a_disabled_channel_says_why_and_enabling_sends_what_was_missed(
    acme: Acme,
    enter: Enter,  # noqa: F811
    receiver: Receiver,
    smtp: Desk,
) -> None:
    channel, _ = a_channel(acme, address=receiver.url, name="Orders")
    receiver.answers = [(410, {}, b"moved away")]
    requested(acme)
    send_all()
    client = enter(acme.admin)
    for page in (PAGE, page_of(channel)):
        assert "410 moved away" in client.get(page).content.decode()
    client.post(f"{page_of(channel)}/test")
    assert not Delivery.objects.filter(event="channel.test").exists()
    client.post(f"{page_of(channel)}/switch", {"to": "on"})
    make_due()
    send_all()
    assert len(receiver.received) == 2
    client.post(f"{page_of(channel)}/switch", {"to": "off"})
    assert "Switched off by hand" in client.get(page_of(channel)).content.decode()


def test_a_channel_is_changed_and_deleted_and_what_it_was_owed_is_given_up(acme: Acme, enter: Enter) -> None:  # noqa: F811
    channel, _ = a_channel(acme, "email", "ops@example.com", name="Ops")
    client = enter(acme.owner)
    assert 'value="ops@example.com"' in client.get(f"{page_of(channel)}/edit").content.decode()
    client.post(f"{page_of(channel)}/edit", {"name": "Operations", "address": "team@example.com"})
    channel.refresh_from_db()
    assert (channel.name, channel.address) == ("Operations", "team@example.com")
    changes = Event.objects.get(kind="person:channel:change").data["changes"]
    assert changes["address"] == {"from": "ops@example.com", "to": "team@example.com"}
    requested(acme)
    delivery.fan_out()
    assert "1 message that still waits" in client.get(f"{page_of(channel)}/delete").content.decode()
    client.post(f"{page_of(channel)}/delete")
    assert not Channel.objects.exists()
    lost = Delivery.objects.get(address="team@example.com")
    assert (lost.state, lost.error, lost.channel) == ("failed", "The channel was deleted.", None)


def test_owners_colleagues_and_strangers(acme: Acme, enter: Enter) -> None:  # noqa: F811
    channel, _ = a_channel(acme, "email", "ops@example.com", name="Ops")
    for person in (acme.owner, acme.admin, acme.auditor):
        client = enter(person)
        may = person is not acme.auditor
        assert client.get(PAGE).status_code == 200
        assert ("Send a test" in client.get(page_of(channel)).content.decode()) is may
        assert (client.get(f"{page_of(channel)}/edit").status_code == 200) is may
    for person in (acme.approver, acme.viewer):
        client = enter(person)
        assert client.get(PAGE).status_code == client.get(page_of(channel)).status_code == 403
    for verb in ("test", "switch", "delete", "edit"):
        assert enter(acme.auditor).post(f"{page_of(channel)}/{verb}").status_code == 403
        assert enter(acme.stranger).post(f"{page_of(channel)}/{verb}").status_code == 404
    assert enter(acme.stranger).get(page_of(channel)).status_code == 404
    assert "ops@example.com" not in enter(acme.stranger).get(PAGE).content.decode()
    assert enter(acme.admin, "test").get(page_of(channel)).status_code == 404  # live and test are apart
    assert Channel.objects.get().is_active


def test_secrets_open_with_an_older_key_and_with_no_other(acme: Acme, settings: Any) -> None:
    sealed = vault.seal("xoxb-1")
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another key, long enough to be one, for this test alone, really"
    with pytest.raises(vault.Unopenable):
        vault.unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert vault.unseal(sealed) == "xoxb-1"


def test_an_address_that_people_wrote_is_harmless(acme: Acme, enter: Enter, smtp: Desk) -> None:  # noqa: F811
    for number, text in enumerate(TEXTS):
        Channel.objects.create(
            organization=acme.organization,
            transport="email",
            name=f"Channel {number}",
            address=text.replace("\0", "")[:200],
        )
    client = enter(acme.admin)
    assert problems(client.get(PAGE).content.decode()) == []
    for channel in Channel.objects.all():
        for page in ("", "/delete"):
            assert problems(client.get(page_of(channel) + page).content.decode()) == []
