"""Requests and messages go when their time is over and the record tells no more of them; what is open stays."""

import datetime as dt
import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import Organization
from agents.assurance import STEPUP
from agents.models import Agent
from approvals import retention as requests
from approvals.models import Approval, BreakGlass, Comment, Edit, Grant, Review
from audit.leaf import Actor, Entry
from audit.models import Event
from audit.record import record_all
from notifications.models import Announcement, Attempt, Delivery, SlackPost
from tests import factories
from tests.audit.sequencing import sequence, tamper
from warden import retaining

pytestmark = pytest.mark.django_db(transaction=True)
OLD = dt.datetime(2019, 3, 7, 12, tzinfo=dt.UTC)
LATER = OLD + dt.timedelta(minutes=10)


@pytest.fixture
def acme() -> Organization:
    return factories.an_organization()


@pytest.fixture
def bot(acme: Organization) -> Agent:
    return factories.an_agent(acme)


def request(bot: Agent, *, now: dt.datetime = OLD, **fields: Any) -> Approval:
    """One that was denied long ago, unless `fields` say otherwise."""
    ended = {"state": "denied", "decided_at": LATER} | fields
    return factories.an_approval(agent=bot, now=now, **{name: value for name, value in ended.items() if value != ""})


def approved(bot: Agent, **fields: Any) -> Approval:
    return request(bot, state="approved", **{"claim_until": LATER + dt.timedelta(hours=1), **fields})


def talked_about(row: Approval, by: Any) -> None:
    """A vote, an edit, a comment with evidence, and a card in Slack."""
    Review.objects.create(approval=row, user=by, verdict="deny", digest=row.digest, via="browser")
    Edit.objects.create(
        approval=row, user=by, reason="Less.", changes=[], context_before="{}", digest_before="0", digest_after="1",
        via="browser", created_at=OLD,
    )  # fmt: skip
    Comment.objects.create(
        approval=row, user=by, author=by.email, kind="comment", text="See this.", evidence="a,b", evidence_name="a.csv",
        created_at=OLD,
    )  # fmt: skip
    SlackPost.objects.create(
        organization=row.organization, target=row.approval_id, slack_channel="C1", ts=str(row.pk)[-20:]
    )


def a_grant(row: Approval, by: Any, *, until: dt.datetime) -> Grant:
    return Grant.objects.create(
        organization=row.organization, mode=row.mode, agent=row.agent, agent_slug=row.agent_slug, approval=row,
        action=row.action, permission=row.permission, rule=row.rule, same="{}", max_uses=3, words="Three more.",
        granted_by=by, granted_by_label=by.email, created_at=LATER, expires_at=until,
    )  # fmt: skip


def a_break(row: Approval, by: Any, *, signed: bool, instead_of: Approval | None = None) -> BreakGlass:
    signature = {
        "signed_at": LATER,
        "signed_by": by,
        "signed_by_label": by.email,
        "verdict": "justified",
        "note": "So.",
    }
    return BreakGlass.objects.create(
        organization=row.organization, mode=row.mode, approval=row, instead_of=instead_of, user=by, user_label=by.email,
        digest=row.digest, reason="Now.", assurance=STEPUP, created_at=OLD, due_at=LATER, remind_at=LATER,
        **(signature if signed else {}),
    )  # fmt: skip


def test_what_ended_long_ago_goes_with_all_that_was_said_about_it(acme: Organization, bot: Agent) -> None:
    ann = factories.a_member(acme, "approver")
    gone = [
        request(bot),
        request(bot, state="expired"),
        approved(bot, claimed_at=LATER, reserved=[1]),
        approved(bot, lapsed_at=LATER),
        request(bot, mode="test", state="cancelled"),
    ]
    young = request(bot, now=dt.datetime.now(dt.UTC), decided_at=dt.datetime.now(dt.UTC), follows=gone[0])
    for each in (gone[0], young):
        talked_about(each, ann)
    a_grant(gone[2], ann, until=LATER)
    outcome = retaining.apply(patience=0)
    assert outcome.requests == 5
    assert list(Approval.objects.values_list("pk", flat=True)) == [young.pk]
    young.refresh_from_db()
    assert young.follows is None
    for kind in (Review, Edit, Comment):
        assert kind.objects.get().approval_id == young.pk  # type: ignore[attr-defined]
    assert SlackPost.objects.get().target == young.approval_id
    assert not Grant.objects.exists()
    told = Event.objects.filter(kind=requests.KIND, organization_id=acme.id).order_by("mode")
    assert [(each.mode, each.data["requests"]) for each in told] == [("live", 4), ("test", 1)]


def recently() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def _waits(bot: Agent, ann: Any) -> None:
    request(bot, state="pending", decided_at=None)


def _unclaimed(bot: Agent, ann: Any) -> None:
    approved(bot)


def _claimed_of_late(bot: Agent, ann: Any) -> None:
    approved(bot, claim_until=recently() + dt.timedelta(hours=1), claimed_at=recently())


def _outcome_of_late(bot: Agent, ann: Any) -> None:
    approved(bot, claimed_at=LATER, outcome="success", outcome_at=recently())


def _holds_a_budget(bot: Agent, ann: Any) -> None:
    request(bot, reserved=[7])


def _granted(bot: Agent, ann: Any) -> None:
    a_grant(approved(bot, claimed_at=LATER), ann, until=recently() + dt.timedelta(days=30))


def _unsigned(bot: Agent, ann: Any) -> None:
    a_break(approved(bot, claimed_at=LATER, code="break_glass"), ann, signed=False)


@pytest.mark.parametrize(
    "open_still",
    [_waits, _unclaimed, _claimed_of_late, _outcome_of_late, _holds_a_budget, _granted, _unsigned],
    ids=lambda each: each.__name__.strip("_"),
)
def test_what_may_still_matter_stays_however_old(
    acme: Organization, bot: Agent, open_still: Callable[[Agent, Any], None]
) -> None:
    open_still(bot, factories.a_member(acme, "owner"))
    assert retaining.besides() == []
    assert retaining.apply(patience=0).requests == 0
    assert Approval.objects.exists()


def test_a_break_glass_goes_once_signed_off_and_then_what_it_stood_for(acme: Organization, bot: Agent) -> None:
    ann = factories.a_member(acme, "owner")
    denied = request(bot)
    a_break(approved(bot, claimed_at=LATER, code="break_glass"), ann, signed=True, instead_of=denied)
    assert retaining.apply(patience=0).requests == 2
    assert not BreakGlass.objects.exists()


@pytest.fixture
def month(tmp_path: Path, settings: Any) -> Any:
    settings.WARDEN_HOME = tmp_path
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_add_partition('2019-03-01')")
    yield
    tamper("DROP TABLE IF EXISTS audit_event_2019_03")


@pytest.mark.usefixtures("month")
def test_a_request_stays_as_long_as_the_record_tells_of_it(acme: Organization, bot: Agent) -> None:
    row = request(bot)
    entry = Entry(
        kind="system:approval:denied", organization_id=acme.id, mode="live", actor=Actor("agent", "", "bot"),
        target=row.approval_id,
    )  # fmt: skip
    with transaction.atomic():
        record_all([entry], at=OLD)
    sequence()
    [over] = retaining.besides()
    assert (over.organization, over.requests) == (acme.slug, 1)
    assert retaining.apply(patience=0).requests == 0, "that it is let go is in no order yet"
    sequence()
    outcome = retaining.apply(patience=0)
    assert (outcome.months, outcome.requests) == (["audit_event_2019_03"], 1)

    still = request(bot)
    entry = Entry(
        kind="agent:action:log", organization_id=acme.id, mode="live", actor=Actor("agent", "", "bot"),
        target=still.approval_id,
    )  # fmt: skip
    with transaction.atomic():
        record_all([entry], at=recently())
    assert retaining.besides() == []
    assert retaining.apply(patience=0).requests == 0


def a_message(acme: Organization, at: dt.datetime, **fields: Any) -> Delivery:
    told = Announcement.objects.create(
        organization=acme, mode="live", event="approval.requested", target="apr_X", created_at=at, fanned_out_at=at
    )
    sent = {"state": "sent", "sent_at": at} | fields
    row = Delivery.objects.create(
        organization=acme, mode="live", transport="email", address=f"{uuid.uuid4()}@example.com",
        event="approval.requested", announcement=told, created_at=at, **sent,
    )  # fmt: skip
    Attempt.objects.create(delivery=row, at=at, milliseconds=3, succeeded=True)
    return row


def test_messages_of_long_ago_go_with_their_attempts_and_what_is_due_stays(acme: Organization) -> None:
    for fields in ({}, {"state": "failed", "sent_at": None}, {"state": "moot", "sent_at": None}):
        a_message(acme, OLD, **fields)
    kept = [
        a_message(acme, OLD, state="due", sent_at=None),
        a_message(acme, OLD, sent_at=recently()),
        a_message(acme, recently()),
    ]
    untold = Announcement.objects.create(
        organization=acme, mode="live", event="alert.fired", target="alr_X", created_at=OLD
    )
    assert retaining.apply(patience=0).deliveries == 3
    assert set(Delivery.objects.values_list("pk", flat=True)) == {each.pk for each in kept}
    assert Attempt.objects.count() == 3
    assert set(Announcement.objects.all()) == {untold, *(each.announcement for each in kept)}
    assert Event.objects.get(kind="system:delivery:retention").data["deliveries"] == 3


def test_each_organization_keeps_its_own_for_as_long_as_it_says(acme: Organization, bot: Agent) -> None:
    held, long = factories.an_organization(legal_hold=True), factories.an_organization(retention_months=1_200)
    for own in (held, long):
        request(factories.an_agent(own))
        a_message(own, OLD)
    request(bot)
    a_message(acme, OLD)
    outcome = retaining.apply(patience=0)
    assert (outcome.requests, outcome.deliveries) == (1, 1)
    assert set(Approval.objects.values_list("organization", flat=True)) == {held.pk, long.pk}
    assert set(Delivery.objects.values_list("organization", flat=True)) == {held.pk, long.pk}


def test_many_go_some_in_each_transaction(acme: Organization, bot: Agent, monkeypatch: Any) -> None:
    monkeypatch.setattr(requests, "BATCH", 2)
    for number in range(5):
        request(bot, reserved=[number] if number % 2 else [])
    assert retaining.apply(patience=0).requests == 3
    assert Approval.objects.count() == 2


def test_a_script_asks_first_what_would_go_and_then_does_it(acme: Organization, bot: Agent) -> None:
    request(bot)
    a_message(acme, OLD)
    said = {}
    for name, words in {"asked": ["--dry-run"], "done": []}.items():
        out = io.StringIO()
        call_command("apply_retention", "--json", *words, stdout=out)
        said[name] = json.loads(out.getvalue())
        assert Approval.objects.exists() == Delivery.objects.exists() == (name == "asked")
    [besides] = said["asked"]["besides"]
    assert (besides["organization"], besides["requests"], besides["deliveries"]) == (acme.slug, 1, 1)
    assert (said["done"]["requests"], said["done"]["deliveries"]) == (1, 1)
