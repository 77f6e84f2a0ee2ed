"""The kill switch: who stops what, who lets it go on, and what happens to deadlines meanwhile."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connections
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.by import COMMAND_LINE
from accounts.models import Membership, User
from accounts.rules import Refused
from agents import policy
from agents.models import PolicyVersion, Stop
from approvals import clock, rules
from approvals.models import Approval
from approvals.services import expire_due, lapse_due, review
from approvals.stops import freezing, services
from approvals.tasks import expire
from audit.clock import database_now
from audit.models import Event
from notifications import registry
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme, make_acme

HOUR = timedelta(hours=1)
TIMES = ("expires_at", "remind_at", "escalate_at", "claim_until")


def member(user: User) -> Membership:
    return Membership.objects.get(user=user)


def stop(acme: Acme, by: User | None = None, **what: Any) -> Stop:
    return services.stop(organization=acme.organization, by=member(by or acme.admin), reason="odd refunds", **what)


def release(row: Stop, asks: User, confirms: User) -> Stop:
    services.ask(stop=row, by=member(asks), reason="found it")
    return services.release(stop=row, by=member(confirms))


def backdate(row: Stop, by: timedelta) -> None:
    """As if it had been pulled earlier: what it froze, too."""
    Stop.objects.filter(pk=row.pk).update(stopped_at=row.stopped_at - by)
    for approval in Approval.objects.exclude(frozen_at=None):
        Approval.objects.filter(pk=approval.pk).update(frozen_at=approval.frozen_at - by)
    row.refresh_from_db()


def waiting(acme: Acme, **more: Any) -> Approval:
    now = database_now()
    more = {"remind_at": now + HOUR / 2, "escalate_at": now + HOUR / 4} | more
    return factories.an_approval(agent=more.pop("agent", acme.bot), **more)


# Who, and what it says


@pytest.mark.django_db
def test_an_admin_stops_everything_and_all_are_told(acme: Acme) -> None:
    row = stop(acme)
    assert (row.stopped_by, row.stopped_by_label, row.words) == (
        acme.admin,
        acme.admin.email,
        "every action of every agent",
    )
    event = Event.objects.get(kind="person:stop:start")
    assert (event.target, event.data) == (row.stop_id, {"what": row.words, "reason": "odd refunds"})
    assert (
        PolicyVersion.objects.filter(organization=acme.organization).first().summary.startswith("Stopped every action")
    )
    news = Announcement.objects.get(event="stop.started")
    facts = registry.topic_of(news.event).facts(news)
    assert {each.user for each in facts.people} == {acme.owner, acme.admin}
    assert facts.is_urgent
    mail = registry.topic_of(news.event).mail(news, acme.owner)
    assert "odd refunds" in mail.text
    assert reverse("stops:list") in mail.text


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["approver", "auditor", "viewer", "stranger"])
def test_others_neither_stop_nor_release(acme: Acme, role: str) -> None:
    somebody = member(getattr(acme, role))
    with pytest.raises(Refused):
        services.stop(organization=acme.organization, by=somebody, reason="mischief")
    row = stop(acme)
    for verb in (
        lambda: services.ask(stop=row, by=somebody, reason="x"),
        lambda: services.release(stop=row, by=somebody),
    ):
        with pytest.raises(Refused):
            verb()
    assert list(freezing.active(acme.organization)) == [row]


@pytest.mark.django_db
def test_a_stop_needs_a_reason_and_a_pattern_that_is_one(acme: Acme) -> None:
    with pytest.raises(Refused, match="Say why"):
        services.stop(organization=acme.organization, by=member(acme.admin), reason=" ")
    for pattern in ("*", "stripe", "Stripe.*", "stripe.*.x"):
        with pytest.raises(ValidationError):
            stop(acme, pattern=pattern)
    elsewhere = factories.an_agent(factories.an_organization())
    with pytest.raises(ValidationError):
        stop(acme, agent=elsewhere)
    assert not Stop.objects.exists()


@pytest.mark.django_db
def test_stopping_again_keeps_the_first_and_takes_a_release_back(acme: Acme) -> None:
    first = stop(acme, pattern="stripe.*")
    assert stop(acme, acme.owner, pattern="stripe.*") == first
    assert stop(acme, acme.owner, pattern="stripe.refund") != first
    services.ask(stop=first, by=member(acme.admin), reason="found it")
    assert stop(acme, acme.owner, pattern="stripe.*").asked_at is None
    with pytest.raises(Refused, match="ask for it first"):
        services.release(stop=first, by=member(acme.owner))


# Two steps


@pytest.mark.django_db
def test_who_asks_for_a_release_does_not_confirm_it_while_somebody_else_can(acme: Acme) -> None:
    row = stop(acme)
    with pytest.raises(Refused, match="Two steps"):
        services.release(stop=row, by=member(acme.owner))
    services.ask(stop=row, by=member(acme.admin), reason="found it")
    with pytest.raises(Refused, match=acme.owner.email):
        services.release(stop=row, by=member(acme.admin), typed=row.confirmation)
    row = services.release(stop=row, by=member(acme.owner))
    assert (row.asked_by, row.released_by, row.release_reason) == (acme.admin, acme.owner, "found it")
    data = Event.objects.get(kind="person:stop:release").data
    assert (data["asked_by"], data["resumed"]) == (acme.admin.email, 0)
    with pytest.raises(Refused, match="released already"):
        services.release(stop=row, by=member(acme.owner))


@pytest.mark.django_db
def test_who_is_alone_types_what_goes_on(acme: Acme) -> None:
    Membership.objects.filter(user=acme.admin).update(role="approver")
    row = stop(acme, acme.owner, agent=acme.bot)
    services.ask(stop=row, by=member(acme.owner), reason="found it")
    with pytest.raises(Refused, match="Type support-bot"):
        services.release(stop=row, by=member(acme.owner), typed="support")
    assert services.release(stop=row, by=member(acme.owner), typed="support-bot").released_at


@pytest.mark.django_db
def test_a_colleague_whose_account_is_closed_is_no_second_person(acme: Acme) -> None:
    User.objects.filter(pk=acme.admin.pk).update(is_active=False)
    row = stop(acme, acme.owner, pattern="email.*")
    services.ask(stop=row, by=member(acme.owner), reason="found it")
    assert services.release(stop=row, by=member(acme.owner), typed="email.*").released_at


# What waits meanwhile


@pytest.mark.django_db
def test_deadlines_stand_still_and_move_by_exactly_as_long(acme: Acme) -> None:
    row = waiting(acme)
    approved = factories.an_approval(
        agent=acme.bot, state="approved", decided_at=database_now(), claim_until=database_now() + HOUR
    )
    before = {each.pk: each for each in (row, approved)}
    held = stop(acme)
    backdate(held, timedelta(hours=5))
    Approval.objects.update(created_at=held.stopped_at - HOUR)
    expire()  # hours after both deadlines
    row.refresh_from_db()
    assert (row.state, row.frozen_at) == ("pending", held.stopped_at)
    assert rules.current_state(row.state, row.deadline, row.expires_at + HOUR * 9) == "pending"
    done = release(held, acme.admin, acme.owner)
    stood = done.released_at - held.stopped_at
    for after in Approval.objects.all():
        assert (after.frozen_at, after.frozen_for) == (None, stood)
        for name in TIMES:
            was = getattr(before[after.pk], name)
            assert getattr(after, name) == (was and was + stood), name
    assert [each.target for each in Announcement.objects.filter(event="approval.resumed")] == [row.approval_id]
    assert Event.objects.get(kind="person:stop:release").data["resumed"] == 2


@pytest.mark.django_db
def test_overlapping_stops_count_once_and_the_last_lets_go(acme: Acme) -> None:
    row = waiting(acme, action="stripe.refund.large")
    other = waiting(acme, action="email.send")
    wide, narrow = stop(acme), stop(acme, pattern="stripe.*")
    release(wide, acme.admin, acme.owner)
    row.refresh_from_db()
    other.refresh_from_db()
    assert row.frozen_at == wide.stopped_at  # since the first of the two
    assert other.frozen_at is None
    done = release(narrow, acme.admin, acme.owner)
    before = row.expires_at
    row.refresh_from_db()
    assert row.expires_at == before + (done.released_at - wide.stopped_at)


@pytest.mark.django_db
def test_what_was_overdue_before_the_stop_expires_all_the_same(acme: Acme) -> None:
    late = waiting(acme, minutes=-1)
    stop(acme)
    expire()
    late.refresh_from_db()
    assert (late.state, late.frozen_at) == ("expired", None)


@pytest.mark.django_db
def test_what_was_made_while_the_stop_began_is_frozen_by_the_sweep_or_the_release(acme: Acme) -> None:
    held = factories.a_stop(acme.organization, stopped_at=database_now() - HOUR * 2)
    raced = waiting(acme, now=held.stopped_at + timedelta(seconds=1), minutes=10)
    assert (expire_due(), lapse_due(), clock.remind_due(), clock.escalate_due()) == (
        0,
        0,
        0,
        0,
    )
    done = release(held, acme.admin, acme.owner)
    due = raced.expires_at
    raced.refresh_from_db()
    assert raced.expires_at == due + (done.released_at - raced.created_at)
    again = factories.a_stop(acme.organization)
    assert freezing.freeze_all() == 1
    raced.refresh_from_db()
    assert raced.frozen_at == again.stopped_at


@pytest.mark.django_db
def test_nobody_decides_meanwhile_and_is_told_why(acme: Acme) -> None:
    row = waiting(acme, action="stripe.refund.large")
    free = waiting(acme, action="email.send")
    stop(acme, pattern="stripe.*")

    def say(approval: Approval) -> Approval:
        return review(
            approval_id=approval.id,
            by=acme.approver,
            organization=acme.organization,
            verdict="approve",
            reason="",
            digest=approval.digest,
            via="browser",
        )

    with pytest.raises(rules.Refused, match=r"Actions 'stripe\.\*' are paused: nothing of it is decided") as refused:
        say(row)
    assert refused.value.code == "paused"
    assert say(free).state == "approved"


@pytest.mark.django_db(transaction=True)
def test_a_lock_on_a_request_does_not_hold_up_the_stop() -> None:
    acme = make_acme()
    row = waiting(acme)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM approvals_approval WHERE id = %s FOR UPDATE", [row.pk])
            held = stop(acme)
            row.refresh_from_db()
            assert (held.released_at, row.frozen_at) == (None, None)
            assert expire_due() == 0
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    expire()
    row.refresh_from_db()
    assert row.frozen_at == held.stopped_at  # as of the same moment


@pytest.mark.django_db
def test_another_organization_and_its_requests_go_on(acme: Acme) -> None:
    elsewhere = factories.an_organization()
    row = waiting(acme, agent=factories.an_agent(elsewhere))
    stop(acme)
    expire()
    row.refresh_from_db()
    assert row.frozen_at is None
    assert not policy.stopped_by([each.facts for each in elsewhere.stops.all()], str(row.agent_id), row.action)


NAMES = ["stripe.refund", "stripe.refund.large", "stripe.refundx", "stripe.charge", "email.send"]


class Words(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        pattern=st.sampled_from(["", "stripe.*", "stripe.refund.*", *NAMES]),
        action=st.sampled_from(NAMES),
        tier=st.sampled_from(NAMES),
        mine=st.booleans(),
        bound=st.booleans(),
    )
    def test_the_database_and_the_policy_agree_on_what_a_stop_holds(
        self, pattern: str, action: str, tier: str, mine: bool, bound: bool
    ) -> None:
        acme = make_acme()
        other = factories.an_agent(acme.organization)
        approval = factories.an_approval(agent=acme.bot if mine else other, action=action)
        approval.permission = json.dumps({"action": tier, "callee": None}, separators=(",", ":"))
        approval.save(update_fields=["permission"])
        row = factories.a_stop(acme.organization, agent=acme.bot if bound else None, pattern=pattern)
        held = row.facts.holds(str(approval.agent_id), action, tier)
        assert Approval.objects.filter(freezing.held_by(row)).exists() == held
        assert freezing.running().filter(pk=approval.pk).exists() != held


# Pages, commands


@pytest.mark.django_db
def test_everybody_sees_the_banner_and_who_may_finds_the_steps(acme: Acme, enter: Any) -> None:
    client = enter(acme.admin)
    assert client.post(reverse("stops:new"), {"agent": "", "pattern": "", "reason": ""}).status_code == 422
    assert client.post(reverse("stops:new"), {"agent": "", "pattern": "x", "reason": "odd"}).status_code == 422
    client.post(reverse("stops:new"), {"agent": "support-bot", "pattern": "", "reason": "odd <b>refunds</b>"})
    row = Stop.objects.get()
    assert row.words == "every action of support-bot"
    for person in (acme.viewer, acme.approver, acme.owner):
        page = enter(person).get(reverse("inbox")).content.decode()
        assert "every action of support-bot" in page
        assert "odd &lt;b&gt;refunds&lt;/b&gt;" in page
    assert "every action of support-bot" not in enter(acme.stranger).get(reverse("inbox")).content.decode()
    assert enter(acme.viewer).get(reverse("stops:list")).status_code == 200
    assert enter(acme.viewer).get(reverse("stops:new")).status_code == 403
    assert enter(acme.stranger).post(reverse("stops:ask", args=[row.stop_id]), {"reason": "x"}).status_code == 404
    client = enter(acme.admin)
    assert client.get(reverse("stops:keep", args=[row.stop_id])).status_code == 405
    client.post(reverse("stops:ask", args=[row.stop_id]), {"reason": "found it"})
    mine = client.get(reverse("stops:release", args=[row.stop_id])).content.decode()
    assert acme.owner.email in mine
    assert client.post(reverse("stops:release", args=[row.stop_id]), {"typed": "support-bot"}).status_code == 422
    client = enter(acme.owner)
    client.post(reverse("stops:keep", args=[row.stop_id]))
    row.refresh_from_db()
    assert row.asked_at is None
    client.post(reverse("stops:ask", args=[row.stop_id]), {"reason": "found it"})
    enter(acme.admin).post(reverse("stops:release", args=[row.stop_id]))
    row.refresh_from_db()
    assert row.released_by == acme.admin
    assert "Nothing is stopped" in client.get(reverse("stops:list")).content.decode()


@pytest.mark.django_db
def test_a_request_that_stands_still_says_so(acme: Acme, enter: Any) -> None:
    row = waiting(acme)
    stop(acme)
    Approval.objects.update(expires_at=database_now() - HOUR)
    client = enter(acme.approver)
    assert "stands still" in client.get(reverse("inbox")).content.decode()
    page = client.get(reverse("approvals:detail", args=[row.approval_id])).content.decode()
    assert "Organization is paused" in page
    assert "Expired" not in page


@pytest.mark.django_db
def test_the_commands_stop_list_and_resume(acme: Acme, capsys: Any) -> None:
    def run(*arguments: str) -> Any:
        call_command(*arguments, "--organization", acme.organization.slug, "--json")
        return json.loads(capsys.readouterr().out)

    made = run("pause", "--reason", "drill", "--action", "stripe.*", "--agent", "support-bot")
    assert (made["agent"], made["pattern"], made["stopped_by"]) == ("support-bot", "stripe.*", COMMAND_LINE.label)
    assert [each["id"] for each in run("list_stops")] == [made["id"]]
    with pytest.raises(CommandError, match="Two steps"):
        run("resume", made["id"], "--confirm", "stripe.*")
    run("resume", made["id"], "--reason", "over")
    assert run("resume", made["id"], "--keep")["asked_at"] is None
    run("resume", made["id"], "--reason", "over", "--by", acme.admin.email)
    with pytest.raises(CommandError, match="Type stripe"):
        run("resume", made["id"], "--confirm", "yes")
    with pytest.raises(CommandError, match="another owner or admin"):
        run("resume", made["id"], "--confirm", "stripe.*", "--by", acme.admin.email)
    assert run("resume", made["id"], "--confirm", "", "--by", acme.owner.email)["released_by"] == acme.owner.email
    assert run("list_stops") == []
    assert len(run("list_stops", "--all")) == 1
