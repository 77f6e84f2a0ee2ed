"""Coming in by invitation, and only so."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Invitation, Membership, User
from accounts.rules import Refused
from accounts.services import invite
from audit.clock import database_now
from tests.accounts.conftest import PASSWORD, SMTP

NEW = {"name": "Newt", "password": PASSWORD, "again": PASSWORD}


def link_in(text: str) -> str:
    return re.search(r"http://127\.0\.0\.1:8000(/join/\S+?)[\s<&\"]", text + " ").group(1)


def invited(by: Membership, email: str = "new@example.com", role: str = "approver") -> str:
    """Invites somebody. Returns the path of the link."""
    return link_in(invite.invite(organization=by.organization, email=email, role=role, by=by).link)


@pytest.mark.django_db(transaction=True)
def test_an_admin_invites_a_mail_goes_out_and_the_new_person_joins(admin, browser, mailbox, told):
    client = browser(admin)
    page = client.post(reverse("accounts:invite"), {"email": "New@Example.com", "role": "approver"})
    assert page.status_code == 200
    assert page["Cache-Control"] == "no-store"
    (mail,) = mailbox.messages
    assert mail["To"] == "new@example.com"
    assert mail["Subject"] == "Join Acme in Warden"
    path = link_in(mailbox.text())
    assert path == link_in(page.content.decode())

    newcomer = Client()
    assert "Join Acme" in newcomer.get(path).content.decode()
    answer = newcomer.post(path, NEW)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    member = Membership.objects.get(user__email="new@example.com")
    assert (member.role, member.user.name) == ("approver", "Newt")
    assert newcomer.get("/profile/").status_code == 200
    assert told("person:member:invite")[0].actor == "admin@example.com"
    assert told("person:member:join")[0].actor == "new@example.com"
    assert Client().get(path).status_code == 410


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_is_down_is_told_and_the_link_still_works(admin, browser, settings):
    settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": {"host": "127.0.0.1", "port": 9}}}
    page = browser(admin).post(reverse("accounts:invite"), {"email": "new@example.com", "role": "viewer"})
    text = page.content.decode()
    assert "did not take the message" in text
    assert Client().get(link_in(text)).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_without_a_mail_server_the_inviter_is_told_to_hand_over_the_link(admin, browser, settings, tmp_path):
    backend = "django.core.mail.backends.filebased.EmailBackend"
    settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"file_path": tmp_path}}}
    page = browser(admin).post(reverse("accounts:invite"), {"email": "new@example.com", "role": "viewer"})
    assert "No mail server is configured" in page.content.decode()
    assert len(list(tmp_path.iterdir())) == 1


def test_the_link_is_kept_only_as_a_hash(admin):
    token = invited(admin).rsplit("/", 1)[1]
    assert token not in str(Invitation.objects.values_list())


def test_an_admin_cannot_invite_an_owner(admin, browser):
    with pytest.raises(Refused, match="Only an owner"):
        invited(admin, role="owner")
    answer = browser(admin).post(reverse("accounts:invite"), {"email": "x@example.com", "role": "owner"})
    assert answer.status_code == 422
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("role", ["approver", "auditor", "viewer"])
def test_others_invite_nobody(role, join, browser):
    assert browser(join(role)).get(reverse("accounts:invite")).status_code == 403
    assert browser(join("viewer", "v2@example.com")).post(reverse("accounts:invite")).status_code == 403


def test_members_and_open_invitations_are_not_invited_again(admin, viewer, browser):
    client = browser(admin)
    answer = client.post(reverse("accounts:invite"), {"email": "viewer@example.com", "role": "viewer"})
    assert answer.status_code == 422
    assert "is a member already" in answer.content.decode()
    invited(admin)
    with pytest.raises(Refused, match="open invitation"):
        invited(admin)


def test_an_expired_invitation_is_closed_and_gives_way_to_a_new_one(admin):
    path = invited(admin)
    Invitation.objects.update(expires_at=database_now() - timedelta(seconds=1))
    assert Client().get(path).status_code == 410
    assert Client().post(path, NEW).status_code == 410
    assert Client().get(invited(admin)).status_code == 200


def test_sending_again_voids_the_older_link(admin, browser, told):
    older = invited(admin)
    page = browser(admin).post(reverse("accounts:invitation_resend", args=[Invitation.objects.get().pk]))
    newer = link_in(page.content.decode())
    assert Client().get(older).status_code == 410
    assert Client().get(newer).status_code == 200
    assert len(told("person:invitation:resend")) == 1


def test_a_revoked_invitation_opens_nothing(admin, browser, told):
    path = invited(admin)
    browser(admin).post(reverse("accounts:invitation_revoke", args=[Invitation.objects.get().pk]))
    assert Client().get(path).status_code == 410
    assert Client().post(path, NEW).status_code == 410
    assert not User.objects.filter(email="new@example.com").exists()
    assert len(told("person:invitation:revoke")) == 1


def test_an_admin_cannot_send_an_owners_invitation_on(owner, admin, browser):
    invited(owner, role="owner")
    pk = Invitation.objects.get().pk
    before = Invitation.objects.get().token_hash
    browser(admin).post(reverse("accounts:invitation_resend", args=[pk]))
    browser(admin).post(reverse("accounts:invitation_revoke", args=[pk]))
    assert Invitation.objects.get().token_hash == before
    assert Invitation.objects.get().revoked_at is None


def test_somebody_with_an_account_logs_in_to_join(admin, stranger, browser):
    path = invited(admin, email="stranger@example.net")
    assert "There is an account for" in Client().get(path).content.decode()
    assert Client().post(path, NEW).status_code == 200  # the link alone does not take over an account
    assert Membership.objects.filter(user=stranger.user).count() == 1
    stranger.user.refresh_from_db()
    assert stranger.user.check_password(PASSWORD)

    client = browser(stranger)
    assert ">Join</button>" in client.get(path).content.decode()
    client.post(path)
    assert Membership.objects.get(user=stranger.user, organization=admin.organization).role == "approver"
    assert client.session["organization"] == str(admin.organization_id)


def test_somebody_else_cannot_use_the_link(admin, viewer, browser):
    path = invited(admin)
    client = browser(viewer)
    assert "It is for another address" in client.get(path).content.decode()
    client.post(path)
    assert Invitation.objects.get().accepted_at is None
    with pytest.raises(Refused, match=r"for new@example\.com"):
        invite.accept(token=path.rsplit("/", 1)[1], user=viewer.user)


def test_a_stranger_cannot_touch_our_invitations(admin, stranger, browser):
    path = invited(admin)
    pk = Invitation.objects.get().pk
    client = browser(stranger)
    for name in ("invitation_resend", "invitation_revoke"):
        assert client.post(reverse(f"accounts:{name}", args=[pk])).status_code == 404
        assert client.get(reverse(f"accounts:{name}", args=[pk])).status_code == 405
    assert Client().get(path).status_code == 200
    assert b"new@example.com" not in client.get(reverse("accounts:invitations")).content


def test_open_invitations_are_listed_for_those_who_may_see_members(admin, auditor, viewer, browser):
    assert "No invitations are open" in browser(admin).get(reverse("accounts:invitations")).content.decode()
    invited(admin)
    assert "Send again" in browser(admin).get(reverse("accounts:invitations")).content.decode()
    page = browser(auditor).get(reverse("accounts:invitations")).content.decode()
    assert "new@example.com" in page
    assert "Send again" not in page
    assert browser(viewer).get(reverse("accounts:invitations")).status_code == 403
    Invitation.objects.update(expires_at=database_now() - timedelta(seconds=1))
    assert "Expired" in browser(admin).get(reverse("accounts:invitations")).content.decode()


def test_a_weak_password_does_not_use_up_the_invitation(admin):
    path = invited(admin)
    answer = Client().post(path, {"name": "", "password": "new@example.com", "again": "new@example.com"})
    assert answer.status_code == 422
    assert Client().post(path, NEW).status_code == 302


def test_there_is_no_open_sign_up(db, client):
    page = client.get("/accounts/signup/")
    assert "by invitation" in page.content.decode()
    data = {"email": "x@example.com", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", data)
    client.post("/accounts/3rdparty/signup/", data)
    assert not User.objects.exists()
