"""Mail as people and their programs see it: threads, two halves, links that scanners follow, the test of the server."""

import re
import socket
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from approvals.models import Approval, Review
from audit.models import Event
from notifications.models import Channel, Delivery, Preference
from tests.approvals.conftest import Acme, enter, make_acme  # noqa: F401 - a fixture
from tests.hostile import TEXTS
from tests.notifications.conftest import Desk
from tests.notifications.sending import a_channel, requested, send_all, told

pytestmark = pytest.mark.django_db(transaction=True)
Enter = Callable[..., Client]
LINK = re.compile(r"https?://[^\s\"<>]+")


@pytest.fixture
def acme() -> Acme:
    return make_acme()


def half(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def links(message: EmailMessage) -> set[str]:
    return {link for kind in ("plain", "html") for link in LINK.findall(half(message, kind))}


def test_mails_about_one_request_are_one_thread(acme: Acme, smtp: Desk) -> None:
    one, other = requested(acme), requested(acme)
    send_all()
    told(one, "approval.reminder")
    send_all()
    mine = [message for message in smtp.inbox if message["To"] == acme.approver.email]
    assert len(mine) == 3
    assert len({message["Message-ID"] for message in mine}) == 3
    threads = [message["References"] for message in mine]
    assert threads == [message["In-Reply-To"] for message in mine]
    assert sorted(threads.count(thread) for thread in set(threads)) == [1, 2]
    reminder = mine[-1]
    assert reminder["Subject"].strip().startswith("Re: support-bot wants to")
    assert one.approval_id in reminder["References"]
    assert other.approval_id not in reminder["References"]


def test_both_halves_say_the_same_and_load_nothing(acme: Acme, smtp: Desk) -> None:
    approval = requested(acme, amount="500", context={"customer_id": "cus_1"}, risk="high")
    send_all()
    message = smtp.inbox[0]
    assert message.get_content_type() == "multipart/alternative"
    plain, html = half(message, "plain"), half(message, "html")
    for words in ("support-bot wants to refund $500.00 to cus_1", "stripe.refund.large", "high", approval.approval_id):
        assert words in plain
        assert words in html
    assert max(map(len, plain.splitlines())) < 200
    assert 'name="viewport"' in html
    assert not re.search(r"<(img|link|script|iframe|form)|url\(|@import", html)


def test_nothing_that_an_agent_wrote_becomes_a_link_or_markup(acme: Acme, smtp: Desk) -> None:
    for number, text in enumerate(text.replace("\0", "") for text in TEXTS):
        requested(acme, amount="1", context={"customer_id": text, "n": number})
    send_all()
    for message in smtp.inbox:
        assert all(link.startswith("http://127.0.0.1:8000/") for link in links(message)), links(message)
        assert "<script" not in half(message, "html")


def test_a_scanner_that_follows_every_link_changes_nothing(acme: Acme, enter: Enter, smtp: Desk) -> None:  # noqa: F811
    approval = requested(acme, amount="500")
    send_all()
    [message] = [message for message in smtp.inbox if message["To"] == acme.approver.email]
    found = links(message)
    assert len(found) == 4
    scanner, reader = Client(), enter(acme.approver)  # and the reader's own browser, which fetches ahead
    events = Event.objects.count()
    for client in (scanner, reader):
        for link in found:
            for ask in (client.get, client.head, client.options):
                assert ask(urlsplit(link).path, follow=True).status_code in (200, 405)
    approval.refresh_from_db()
    assert approval.state == "pending"
    assert not Review.objects.exists()
    assert not Preference.objects.exists()
    assert Event.objects.count() == events


def test_sign_off_is_a_link_a_log_in_and_one_click(acme: Acme, smtp: Desk) -> None:
    approval = requested(acme, amount="500")
    send_all()
    [message] = [message for message in smtp.inbox if message["To"] == acme.approver.email]
    [approve] = [urlsplit(link).path for link in links(message) if link.endswith("/approve")]
    acme.approver.set_password("correct horse battery staple")
    acme.approver.save(update_fields=["password"])
    client = Client(enforce_csrf_checks=True)
    form = client.get(approve, follow=True)
    assert [step for step, _ in form.redirect_chain] == [f"/accounts/login/?next={approve}"]
    page = client.post(
        form.redirect_chain[0][0],
        {
            "login": acme.approver.email,
            "password": "correct horse battery staple",
            "csrfmiddlewaretoken": token(form.content.decode()),
        },
        follow=True,
    )
    assert page.redirect_chain[-1][0] == approve
    text = page.content.decode()
    assert approval.digest in text
    assert Approval.objects.get().state == "pending"
    said = {"digest": approval.digest, "reason": "", "csrfmiddlewaretoken": token(text)}
    assert client.post(approve, {"digest": approval.digest}).status_code == 403  # another site's form
    assert client.post(approve, said).status_code == 302
    assert Approval.objects.get().state == "approved"
    assert Review.objects.get().user == acme.approver


def token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found
    return found[1]


def test_a_channel_whose_address_is_refused_is_disabled_and_the_admins_hear(acme: Acme, smtp: Desk) -> None:
    channel, _ = a_channel(acme, "email", "ops@example.com")
    smtp.refused = {"ops@example.com": "550 5.1.1 no such mailbox"}
    requested(acme)
    send_all()
    channel.refresh_from_db()
    assert not channel.is_active
    assert "550 5.1.1 no such mailbox" in channel.disabled_because
    send_all()
    [letter, _] = [message for message in smtp.inbox if "is disabled" in message["Subject"]]
    assert "550 5.1.1 no such mailbox" in half(letter, "plain")
    assert "/settings/channels/chn_" in half(letter, "plain")


def test_a_channel_is_not_disabled_for_one_message_that_a_server_dislikes(acme: Acme, smtp: Desk) -> None:
    for person in (acme.admin, acme.approver, acme.colleague):
        Preference.objects.create(membership=person.memberships.get(), mail="none")
    a_channel(acme, "email", "ops@example.com")
    smtp.answers = ["554 looks like spam"]
    requested(acme)
    send_all()
    assert Delivery.objects.get(address="ops@example.com").state == "failed"
    assert Channel.objects.get().is_active


def test_an_admin_tests_the_mail_server(acme: Acme, enter: Enter, smtp: Desk) -> None:  # noqa: F811
    client = enter(acme.admin)
    assert "Send a test mail" in client.get("/settings/mail").content.decode()
    assert smtp.inbox == []
    page = client.post("/settings/mail", follow=True).content.decode()
    assert "The mail server took the message" in page
    assert "250 OK" in page
    assert [message["To"] for message in smtp.inbox] == [acme.admin.email]
    assert smtp.inbox[0]["Auto-Submitted"] == "auto-generated"
    event = Event.objects.get(kind="person:mail:test")
    assert event.data["accepted"] is True


def test_what_the_mail_server_says_instead_is_shown(acme: Acme, enter: Enter, smtp: Desk) -> None:  # noqa: F811
    smtp.answers = ["535 log in first"]
    page = enter(acme.owner).post("/settings/mail", follow=True).content.decode()
    assert "Not sent. The mail server said 535 log in first" in page
    assert Event.objects.get(kind="person:mail:test").data["accepted"] is False


def test_a_mail_server_that_is_away_is_said(acme: Acme, enter: Enter, settings: Any) -> None:  # noqa: F811
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    options = {"host": "127.0.0.1", "port": port, "timeout": 2}
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}
    page = enter(acme.owner).post("/settings/mail", follow=True).content.decode()
    assert "could not be reached" in page


def test_without_a_server_the_page_says_that_mail_reaches_nobody(
    acme: Acme,
    enter: Enter,  # noqa: F811
    settings: Any,
    tmp_path: Any,
) -> None:
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": str(tmp_path)},
        }
    }
    client = enter(acme.admin)
    assert "reaches nobody" in client.get("/settings/mail").content.decode()
    assert "Kept as a file" in client.post("/settings/mail", follow=True).content.decode()
    assert list(tmp_path.iterdir())


def test_who_may_read_settings_sees_the_server_and_no_secret_and_others_nothing(
    acme: Acme,
    enter: Enter,  # noqa: F811
    smtp: Desk,
    settings: Any,
) -> None:
    settings.MAILERS["default"]["OPTIONS"] |= {"username": "warden", "password": "s3cret-of-mail"}
    page = enter(acme.auditor).get("/settings/mail").content.decode()
    assert "127.0.0.1:" in page
    assert "s3cret-of-mail" not in page
    assert "Send a test" not in page
    enter(acme.auditor).post("/settings/mail")
    assert smtp.inbox == []
    for person in (acme.approver, acme.viewer):
        assert enter(person).get("/settings/mail").status_code == 403
