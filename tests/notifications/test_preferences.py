"""How people want to hear: quiet hours, digests, what is critical, and the pages where they say so."""

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import Membership, User
from approvals import services as approvals
from approvals.models import Approval
from audit.clock import database_now
from audit.ids import show_id
from audit.models import Event
from notifications import digests, preferences
from notifications.models import Delivery, Preference
from notifications.services import preferences as services
from tests import factories
from tests.approvals.conftest import Acme, enter, make_acme  # noqa: F401 - a fixture
from tests.notifications.conftest import Desk
from tests.notifications.sending import make_due, requested, send_all

pytestmark = pytest.mark.django_db(transaction=True)
Enter = Callable[..., Client]
PAGE = "/settings/notifications"
FORM = {"mail": "now", "quiet_from": "", "quiet_until": "", "timezone": "UTC"}


@pytest.fixture
def acme() -> Acme:
    return make_acme()


def prefers(user: User, **fields: object) -> Preference:
    return services.change(membership=Membership.objects.get(user=user), **fields)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def mailed(smtp: Desk, user: User) -> list[str]:
    """The subjects of what this person got."""
    return [message["Subject"] for message in smtp.inbox if message["To"] == user.email]


@pytest.mark.parametrize(
    ("start", "end", "zone", "now", "until"),
    [
        ("22:00", "07:00", "UTC", "2026-03-02 21:59", None),
        ("22:00", "07:00", "UTC", "2026-03-02 22:00", "2026-03-03 07:00"),
        ("22:00", "07:00", "UTC", "2026-03-03 06:59", "2026-03-03 07:00"),
        ("22:00", "07:00", "UTC", "2026-03-03 07:00", None),
        ("12:00", "13:30", "UTC", "2026-03-02 12:30", "2026-03-02 13:30"),
        ("22:00", "07:00", "Europe/Berlin", "2026-03-02 21:00", "2026-03-03 06:00"),
        ("22:00", "07:00", "Asia/Kolkata", "2026-03-02 21:00", "2026-03-03 01:30"),
        ("22:00", "02:30", "Europe/Berlin", "2026-03-28 22:00", "2026-03-29 01:30"),  # a time that the clocks skip
        ("22:00", "07:00", "Europe/Berlin", "2026-10-24 21:00", "2026-10-25 06:00"),  # an hour longer
        ("09:00", "09:00", "UTC", "2026-03-02 09:00", None),
    ],
)
def test_quiet_hours_are_hours_on_the_wall(start: str, end: str, zone: str, now: str, until: str | None) -> None:
    chosen = Preference(quiet_from=time.fromisoformat(start), quiet_until=time.fromisoformat(end), timezone=zone)
    assert preferences.quiet_until(chosen, moment(now)) == (moment(until) if until else None)


@pytest.mark.parametrize(
    ("mail", "zone", "now", "due"),
    [
        ("hourly", "UTC", "2026-03-02 21:59", "2026-03-02 22:00"),
        ("hourly", "UTC", "2026-03-02 22:00", "2026-03-02 23:00"),
        ("daily", "UTC", "2026-03-02 07:59", "2026-03-02 08:00"),
        ("daily", "UTC", "2026-03-02 08:00", "2026-03-03 08:00"),
        ("daily", "America/New_York", "2026-03-07 14:00", "2026-03-08 12:00"),  # the night the clocks change
        ("now", "UTC", "2026-03-02 08:00", None),
        ("none", "UTC", "2026-03-02 08:00", None),
    ],
)
def test_when_the_next_digest_is_due(mail: str, zone: str, now: str, due: str | None) -> None:
    assert preferences.next_digest(Preference(mail=mail, timezone=zone), moment(now)) == (moment(due) if due else None)


def test_a_digest_that_falls_into_quiet_hours_waits_for_their_end() -> None:
    chosen = Preference(mail="hourly", quiet_from=time(22), quiet_until=time(7))
    assert preferences.next_digest(chosen, moment("2026-03-02 21:30")) == moment("2026-03-03 07:00")


def around_now(minutes: int = 90) -> dict[str, time]:
    """Quiet hours that hold now and for `minutes` more."""
    now = database_now()
    return {
        "quiet_from": (now - timedelta(minutes=5)).time().replace(second=0, microsecond=0),
        "quiet_until": (now + timedelta(minutes=minutes)).time().replace(second=0, microsecond=0),
    }


def test_a_mail_waits_for_the_end_of_quiet_hours_and_a_critical_one_does_not(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, **around_now())
    requested(acme, risk="high")
    requested(acme, action="database.drop", risk="critical")
    send_all()
    assert len(mailed(smtp, acme.colleague)) == 2
    assert len(mailed(smtp, acme.approver)) == 1
    assert "drop" in mailed(smtp, acme.approver)[0]
    waits = Delivery.objects.get(state="due")
    assert timedelta(minutes=88) < waits.due_at - database_now() <= timedelta(minutes=90)
    make_due()
    send_all()
    assert len(mailed(smtp, acme.approver)) == 2


def test_who_says_so_is_not_woken_by_critical_ones_either(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, critical_always=False, **around_now())
    requested(acme, risk="critical")
    send_all()
    assert mailed(smtp, acme.approver) == []


def test_what_is_over_at_the_end_of_quiet_hours_is_not_mailed(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, **around_now())
    approval = requested(acme)
    send_all()
    Approval.objects.filter(pk=approval.pk).update(state="cancelled", decided_at=database_now())
    make_due()
    send_all()
    assert mailed(smtp, acme.approver) == []
    assert Delivery.objects.get(address=acme.approver.email).state == "moot"


def test_no_mail_means_none_critical_ones_too(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, mail="none")
    requested(acme, risk="critical")
    send_all()
    assert mailed(smtp, acme.approver) == []
    assert len(mailed(smtp, acme.colleague)) == 1


def test_a_digest_says_what_waits_at_that_moment(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, mail="hourly")
    decided = requested(acme, amount="120", context={"customer_id": "cus_1"})
    waits = requested(acme, amount="500", context={"customer_id": "cus_2"}, risk="high")
    requested(acme, mode="test", context={"customer_id": "cus_test"})
    send_all()
    assert mailed(smtp, acme.approver) == []  # each waits for the digest
    assert digests.digest_due() == 0
    approvals.review(
        approval_id=decided.id,
        by=acme.colleague,
        organization=acme.organization,
        verdict="approve",
        digest=decided.digest,
        reason="",
        via="browser",
    )
    make_digest_due(acme.approver)
    send_all()
    (letter,) = [message for message in smtp.inbox if message["To"] == acme.approver.email]
    assert letter["Subject"].strip() == f"1 request waits for you at {acme.organization.name}"
    for kind in ("plain", "html"):
        body = letter.get_body((kind,))
        assert body is not None
        text = body.get_content()
        assert "refund $500.00 to cus_2" in text
        assert f"/approvals/{waits.approval_id}" in text
        assert "cus_1" not in text
        assert "cus_test" not in text
    target = show_id("mem", Membership.objects.get(user=acme.approver).pk)
    assert letter["List-Unsubscribe"] == f"<http://127.0.0.1:8000{PAGE}/unsubscribe/{target}>"
    assert letter["List-Id"].startswith("Warden digest <digest.")
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["In-Reply-To"] is None


def make_digest_due(user: User) -> None:
    """The hour is full."""
    past = database_now() - timedelta(seconds=1)
    Preference.objects.filter(membership__user=user).update(digest_due_at=past)
    while digests.digest_due():
        pass


def test_a_digest_of_nothing_is_not_sent_and_the_next_one_is_due(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, mail="daily")
    make_digest_due(acme.approver)
    assert not Delivery.objects.exists()
    due = Preference.objects.get().digest_due_at
    assert due is not None
    assert due > database_now()


def test_a_critical_request_is_mailed_at_once_beside_the_digest(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, mail="daily")
    requested(acme, risk="critical")
    send_all()
    assert len(mailed(smtp, acme.approver)) == 1


def test_any_number_of_workers_write_each_digest_once(acme: Acme, smtp: Desk) -> None:
    prefers(acme.approver, mail="hourly")
    requested(acme)
    Preference.objects.update(digest_due_at=database_now() - timedelta(seconds=1))
    ready = threading.Barrier(4)

    def work(_: int) -> int:
        try:
            ready.wait(timeout=30)
            return digests.digest_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 1
    assert Delivery.objects.filter(event="digest").count() == 1


def test_who_left_or_may_not_decide_gets_no_digest(acme: Acme, smtp: Desk) -> None:
    for person in (acme.approver, acme.viewer):
        prefers(person, mail="hourly")
    requested(acme)
    acme.approver.is_active = False
    acme.approver.save(update_fields=["is_active"])
    for person in (acme.approver, acme.viewer):
        make_digest_due(person)
    assert not Delivery.objects.filter(event="digest").exists()


def test_unsubscribing_asks_and_ends_nothing_by_a_link(acme: Acme, enter: Enter, smtp: Desk) -> None:  # noqa: F811
    prefers(acme.approver, mail="daily")
    member = Membership.objects.get(user=acme.approver)
    page = f"{PAGE}/unsubscribe/{show_id('mem', member.pk)}"
    assert Client().get(page).status_code == 302  # to the log-in
    assert Client().post(page, {"List-Unsubscribe": "One-Click"}).status_code in (302, 403)
    client = enter(acme.approver)
    assert "No more mail of requests?" in client.get(page).content.decode()
    assert Preference.objects.get().mail == "daily"
    assert enter(acme.colleague).post(page).status_code == 404
    assert Preference.objects.get().mail == "daily"
    assert enter(acme.approver).post(page).status_code == 302
    chosen = Preference.objects.get()
    assert (chosen.mail, chosen.digest_due_at) == ("none", None)
    requested(acme)
    send_all()
    assert mailed(smtp, acme.approver) == []


def test_everybody_says_for_themselves_and_it_is_recorded(acme: Acme, enter: Enter) -> None:  # noqa: F811
    for person in (acme.owner, acme.viewer):  # every role
        assert enter(person).get(PAGE).status_code == 200
    answer = enter(acme.viewer).post(
        PAGE, FORM | {"mail": "daily", "quiet_from": "22:00", "quiet_until": "07:00", "timezone": "Europe/Berlin"}
    )
    assert answer.status_code == 302
    chosen = Preference.objects.get()
    assert (chosen.membership.user, chosen.mail, chosen.quiet_from) == (acme.viewer, "daily", time(22))
    assert chosen.critical_always is False  # a box that is not ticked is not sent
    assert chosen.digest_due_at is not None
    changes = Event.objects.get(kind="person:preference:change").data["changes"]
    assert changes["mail"] == {"from": "now", "to": "daily"}
    assert "The next digest goes out" in enter(acme.viewer).get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"quiet_from": "22:00"}, "Quiet hours need a beginning and an end."),
        ({"timezone": "Mars/Olympus"}, "There is no such time zone."),
        ({"timezone": "../../etc/passwd"}, "There is no such time zone."),
        ({"mail": "sometimes"}, "not one of the available choices"),
        ({"quiet_from": "25:99", "quiet_until": "07:00"}, "Enter a valid time."),
    ],
)
def test_what_makes_no_sense_is_said_and_kept(
    acme: Acme,
    enter: Enter,  # noqa: F811
    changed: dict[str, str],
    said: str,
) -> None:
    answer = enter(acme.approver).post(PAGE, FORM | changed)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Preference.objects.exists()


def test_who_runs_warden_says_it_by_command(acme: Acme) -> None:
    def run(*words: str) -> dict[str, object]:
        out = io.StringIO()
        place = ["--organization", acme.organization.slug, "--json"]
        call_command("set_notifications", acme.viewer.email, *words, *place, stdout=out)
        return dict(json.loads(out.getvalue()))

    said = run("--mail", "hourly", "--quiet", "22:00-07:00", "--timezone", "Europe/Berlin", "--no-critical")
    assert (said["mail"], said["quiet_from"], said["critical_always"]) == ("hourly", "22:00", False)
    assert said["digest_due_at"]
    assert run("--no-quiet", "--test") | {"digest_due_at": None} == said | {
        "quiet_from": None,
        "quiet_until": None,
        "test_mode": True,
        "digest_due_at": None,
    }
    kinds = Event.objects.filter(kind__endswith=":preference:change").values_list("kind", flat=True)
    assert set(kinds) == {"system:preference:change"}
    with pytest.raises(CommandError, match="no such time zone"):
        run("--timezone", "Mars/Olympus")
    with pytest.raises(CommandError, match="does not belong"):
        call_command("set_notifications", acme.stranger.email, "--organization", acme.organization.slug)


def test_a_stranger_who_belongs_nowhere_is_led_to_where_one_joins(enter: Enter, db: None) -> None:  # noqa: F811
    assert enter(factories.a_person()).get(PAGE).status_code == 302
