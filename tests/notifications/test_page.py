"""The delivery log."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit.ids import show_id
from notifications.models import Announcement, Delivery
from tests import factories
from tests.approvals.conftest import Acme, acme, enter  # noqa: F401 - fixtures
from tests.hostile import TEXTS, problems

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]


def a_delivery(acme: Acme, **fields: Any) -> Delivery:  # noqa: F811
    announcement = Announcement.objects.create(
        organization=acme.organization, mode=fields.get("mode", "live"), event="approval.requested", target="apr_x"
    )
    values = {"mode": "live", "transport": "email", "address": "ann@example.com", "subject": "Hello", "text": "…"}
    return Delivery.objects.create(
        organization=acme.organization, announcement=announcement, event="approval.requested", **(values | fields)
    )


def test_admins_and_auditors_see_what_was_sent_and_what_was_not(acme: Acme, enter: Enter) -> None:  # noqa: F811
    a_delivery(acme, address="gone@example.com", state="failed", error="The mail server said 550 no such user")
    a_delivery(acme)
    for person in (acme.owner, acme.admin, acme.auditor):
        shown = enter(person).get("/settings/deliveries").content.decode()
        for words in ("gone@example.com", "Given up", "550 no such user", "ann@example.com"):
            assert words in shown
    shown = enter(acme.admin).get("/settings/deliveries?state=failed").content.decode()
    assert "gone@example.com" in shown
    assert "ann@example.com" not in shown


def test_others_do_not(acme: Acme, enter: Enter) -> None:  # noqa: F811
    a_delivery(acme)
    for person in (acme.approver, acme.viewer):
        assert enter(person).get("/settings/deliveries").status_code == 403
    assert "ann@example.com" not in enter(acme.stranger).get("/settings/deliveries").content.decode()
    assert "ann@example.com" not in enter(acme.admin, "test").get("/settings/deliveries").content.decode()


def test_it_is_paged_by_key(acme: Acme, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("notifications.views.log.PAGE", 2)
    made = [a_delivery(acme).id for _ in range(5)]
    client, seen, address = enter(acme.admin), [], "/settings/deliveries"
    for _ in range(3):
        answer = client.get(address)
        seen += [row.id for row in answer.context["deliveries"]]
        address = f"/settings/deliveries?after={answer.context['older']}"
    assert seen == made[::-1]


def test_a_message_leads_to_the_request_it_is_about(acme: Acme, enter: Enter) -> None:  # noqa: F811
    approval = factories.an_approval(agent=acme.bot)
    owed = a_delivery(acme)
    Announcement.objects.filter(pk=owed.announcement_id).update(target=approval.approval_id)
    page = enter(acme.auditor).get(f"/settings/deliveries/{show_id('dlv', owed.pk)}").content.decode()
    assert f'<a href="/approvals/{approval.approval_id}">' in page


def test_nothing_yet_and_nothing_that_matches_look_different(acme: Acme, enter: Enter) -> None:  # noqa: F811
    client = enter(acme.admin)
    assert "Nothing was sent yet" in client.get("/settings/deliveries").content.decode()
    a_delivery(acme)
    assert "No delivery matches" in client.get("/settings/deliveries?state=sent").content.decode()


def test_what_others_wrote_is_harmless(acme: Acme, enter: Enter) -> None:  # noqa: F811
    for text in TEXTS:
        plain = text.replace("\x00", "")
        a_delivery(acme, address=plain[:254], subject=plain[:200], error=plain[:500])
    assert problems(enter(acme.admin).get("/settings/deliveries").content.decode()) == []
