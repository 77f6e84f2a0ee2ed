"""Logging in, failing to, being locked out, second factors, passwords, sessions: and what the record says of each."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, User
from audit.models import Event
from tests.accounts.conftest import PASSWORD, SMTP
from warden.settings import redis as redis_settings

SECRET = "JBSWY3DPEHPK3PXP"


def log_in(client: Client, email: str, password: str = PASSWORD):
    return client.post("/accounts/login/", {"login": email, "password": password})


def code(at: float | None = None) -> str:
    """The code that an authenticator app with SECRET shows."""
    return format_hotp_value(hotp_value(SECRET, int((at or time.time()) // 30)))


def again(client: Client) -> None:
    """Proves once more who one is."""
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})


# --- password -------------------------------------------------------------------------------------------------------


def test_a_member_logs_in_and_out_and_each_of_their_organizations_records_it(viewer, elsewhere, client, told):
    Membership.objects.create(organization=elsewhere, user=viewer.user, role="viewer")
    answer = log_in(client, "Viewer@Example.com")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert {event.organization_id for event in told("person:session:login")} == {viewer.organization_id, elsewhere.id}
    event = told("person:session:login", elsewhere)[0]
    assert (event.actor, event.mode) == ("viewer@example.com", "")
    assert event.data == {"email": "viewer@example.com", "ip": "127.0.0.1", "methods": ["password"]}
    client.post("/accounts/logout/")
    assert len(told("person:session:logout")) == 2
    assert client.get("/profile/").status_code == 302


def test_a_get_logs_nobody_out(viewer, browser):
    client = browser(viewer)
    client.get("/accounts/logout/")
    assert client.get("/profile/").status_code == 200


def test_a_wrong_password_is_recorded_as_seen_by_warden_and_without_the_password(viewer, client, told):
    assert log_in(client, "viewer@example.com", "not the password").status_code == 200
    (event,) = told("system:session:failure")
    assert event.data == {"email": "viewer@example.com", "ip": "127.0.0.1"}
    assert "not the password" not in str(Event.objects.values_list())
    assert told("person:session:login") == []


def test_an_unknown_address_gets_the_same_answer_and_no_event(viewer, client, told):
    known = log_in(client, "viewer@example.com", "wrong").content
    unknown = log_in(client, "nobody@example.com", "wrong").content
    strip = re.compile(rb'csrfmiddlewaretoken" value="[^"]+|nonce="[^"]+|data-now="[^"]+|value="\w+@example.com')
    assert strip.sub(b"", known) == strip.sub(b"", unknown)
    assert len(told("system:session:failure")) == 1


def test_somebody_who_is_not_active_does_not_get_in(viewer, client, told):
    viewer.user.is_active = False
    viewer.user.save(update_fields=["is_active"])
    log_in(client, "viewer@example.com")
    assert client.get("/profile/").status_code == 302
    assert told("person:session:login") == []


def test_too_many_failures_lock_that_person_out_from_that_address_only(viewer, owner, client, settings, told):
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = log_in(client, "viewer@example.com", "wrong")
    assert answer.status_code == 429
    assert "too many wrong attempts" in answer.content.decode()
    locked = log_in(client, "VIEWER@example.com")  # the right password, another spelling
    assert locked.status_code == 429
    assert told("system:session:lockout")
    assert log_in(Client(), "owner@example.com").status_code == 302
    assert log_in(Client(REMOTE_ADDR="192.0.2.7"), "viewer@example.com").status_code == 302


def test_a_success_forgets_the_failures_before_it(viewer, client, settings):
    for _ in range(2):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            log_in(client, "viewer@example.com", "wrong")
        assert log_in(client, "viewer@example.com").status_code == 302
        client.post("/accounts/logout/")


def test_behind_proxies_the_address_is_what_the_last_of_ours_says(viewer, settings, told):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    log_in(Client(headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.4"}), "viewer@example.com")
    assert told("person:session:login")[0].data["ip"] == "198.51.100.4"


def test_without_proxies_a_client_cannot_choose_its_address(viewer, told):
    log_in(Client(headers={"X-Forwarded-For": "203.0.113.9"}), "viewer@example.com")
    assert told("person:session:login")[0].data["ip"] == "127.0.0.1"


def test_logging_in_needs_a_csrf_token(viewer):
    client = Client(enforce_csrf_checks=True)
    assert log_in(client, "viewer@example.com").status_code == 403


def test_after_logging_in_one_goes_to_our_own_pages_only(viewer, client):
    data = {"login": "viewer@example.com", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/accounts/login/", data)["Location"] == "/"


# --- second factors -------------------------------------------------------------------------------------------------


@pytest.fixture
def with_app(viewer) -> Membership:
    """A member whose authenticator app has SECRET."""
    TOTP.activate(viewer.user, SECRET)
    return viewer


def test_a_second_factor_is_encrypted_at_rest(with_app):
    assert SECRET not in str(Authenticator.objects.get().data)


def test_a_secret_stays_readable_while_the_old_key_is_a_fallback(with_app, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key", [settings.SECRET_KEY]
    assert Authenticator.objects.get().wrap().validate_code(code())


def test_the_password_alone_is_not_enough_and_the_code_completes_it(with_app, client, told):
    answer = log_in(client, "viewer@example.com")
    assert answer["Location"] == reverse("mfa_authenticate")
    assert client.get("/profile/").status_code == 302
    assert told("person:session:login") == []
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert client.get("/profile/").status_code == 200
    assert told("person:session:login")[0].data["methods"] == ["password", "mfa:totp"]


def test_guessing_codes_locks_out_like_guessing_passwords(with_app, client, settings, told):
    log_in(client, "viewer@example.com")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert answer.status_code == 429
    assert client.post(reverse("mfa_authenticate"), {"code": code()}).status_code == 429
    assert client.get("/profile/").status_code == 302
    assert len(told("system:session:failure")) == settings.AXES_FAILURE_LIMIT
    assert told("system:session:lockout")


def test_setting_up_an_app_needs_the_password_again_and_is_recorded(viewer, browser, told):
    client = browser(viewer)
    url = reverse("mfa_activate_totp")
    assert client.get(url)["Location"].startswith("/accounts/reauthenticate/")
    again(client)
    client.get(url)
    secret = client.session["mfa.totp.secret"]
    right = format_hotp_value(hotp_value(secret, int(time.time() // 30)))
    client.post(url, {"code": right})
    assert {event.data["type"] for event in told("person:mfa:add")} == {"totp", "recovery_codes"}
    assert secret not in str(Event.objects.values_list())
    client.post(reverse("mfa_deactivate_totp"))
    assert {event.data["type"] for event in told("person:mfa:remove")} == {"totp", "recovery_codes"}


# --- passwords ------------------------------------------------------------------------------------------------------


def test_changing_the_password_ends_the_other_sessions_and_is_recorded(viewer, told):
    here, there = Client(), Client()
    log_in(here, "viewer@example.com")
    log_in(there, "viewer@example.com")
    new = "another long way home"
    here.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert here.get("/profile/").status_code == 200
    assert there.get("/profile/").status_code == 302
    assert len(told("person:password:change")) == 1
    assert new not in str(Event.objects.values_list())


@pytest.mark.django_db(transaction=True)
def test_a_password_is_reset_by_a_link_that_carries_our_address_and_ends_a_lock_out(viewer, mailbox, settings, told):
    client = Client()
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(client, "viewer@example.com", "wrong")
    client.post("/accounts/password/reset/", {"email": "viewer@example.com"}, headers={"Host": "localhost"})
    path = re.search(r"http://127\.0\.0\.1:8000(\S+)", mailbox.text()).group(1)
    form = client.get(path)["Location"]
    new = "another long way home"
    client.post(form, {"password1": new, "password2": new})
    assert len(told("person:password:reset")) == 1
    assert log_in(client, "viewer@example.com", new).status_code == 302
    assert client.get(path).status_code in (200, 302)
    assert "another" not in str(Event.objects.values_list())


@pytest.mark.django_db(transaction=True)
def test_a_reset_says_the_same_for_an_unknown_address_and_when_mail_is_down(viewer, client, settings):
    settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": {"host": "127.0.0.1", "port": 9}}}
    answers = [
        client.post("/accounts/password/reset/", {"email": f"{who}@example.com"}) for who in ("viewer", "nobody")
    ]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, "/accounts/password/reset/done/")}


# --- address and sessions -------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_new_address_counts_once_its_link_was_followed(viewer, browser, mailbox, told):
    client = browser(viewer)
    again(client)
    client.post("/accounts/email/", {"email": "new@example.com", "action_add": ""})
    viewer.user.refresh_from_db()
    assert viewer.user.email == "viewer@example.com"
    assert "Waiting for" in client.get("/accounts/email/").content.decode()
    path = re.search(r"http://127\.0\.0\.1:8000(/accounts/confirm-email/\S+)", mailbox.text()).group(1)
    assert "logs in as" in client.get(path).content.decode()
    client.post(path)
    assert "This link is closed" in client.get(path).content.decode()
    viewer.user.refresh_from_db()
    assert viewer.user.email == "new@example.com"
    (event,) = told("person:email:change")
    assert event.data["changes"]["email"] == {"from": "viewer@example.com", "to": "new@example.com"}
    assert "Was it not you?" in mailbox.text()
    assert log_in(Client(), "new@example.com").status_code == 302
    assert log_in(Client(), "viewer@example.com").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_taking_over_a_members_address_is_impossible(viewer, owner, browser, mailbox):
    client = browser(viewer)
    again(client)
    client.post("/accounts/email/", {"email": "owner@example.com", "action_add": ""})
    for message in range(len(mailbox.messages)):
        for path in re.findall(r"http://127\.0\.0\.1:8000(/accounts/confirm-email/\S+)", mailbox.text(message)):
            client.post(path)
    viewer.user.refresh_from_db()
    assert viewer.user.email == "viewer@example.com"


def test_changing_the_address_needs_the_password_again(viewer, browser):
    answer = browser(viewer).post("/accounts/email/", {"email": "new@example.com", "action_add": ""})
    assert answer["Location"].startswith("/accounts/reauthenticate/")


def test_other_sessions_are_ended_and_recorded(viewer, told):
    here, there = Client(), Client()
    log_in(here, "viewer@example.com")
    log_in(there, "viewer@example.com")
    assert UserSession.objects.count() == 2
    here.post(reverse("usersessions_list"))
    assert here.get("/profile/").status_code == 200
    assert there.get("/profile/").status_code == 302
    assert told("person:session:end")[0].data["count"] == 1


def test_a_log_in_that_cannot_be_recorded_does_not_happen(viewer, client, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the record is full")

    monkeypatch.setattr("accounts.receivers.tell_everywhere", broken)
    with pytest.raises(RuntimeError):
        log_in(client, "viewer@example.com")
    assert client.get("/profile/").status_code == 302
    assert not Session.objects.exists() or "_auth_user_id" not in client.session
    assert User.objects.get(pk=viewer.user_id).last_login is None


# --- rates ------------------------------------------------------------------------------------------------------------


def test_asking_again_and_again_is_answered_with_a_page_that_says_so(db, client):
    for _ in range(6):
        answer = client.post("/accounts/password/reset/", {"email": "viewer@example.com"})
    assert answer.status_code == 429
    assert "Too fast" in answer.content.decode()


def test_while_redis_is_away_people_log_in_and_are_locked_out_all_the_same(viewer, client, settings):
    settings.CACHES = {"default": redis_settings.cache("redis://127.0.0.1:9/0")}
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = log_in(client, "viewer@example.com", "wrong")
    assert answer.status_code == 429
    assert log_in(Client(REMOTE_ADDR="192.0.2.7"), "viewer@example.com").status_code == 302
