"""Single sign-on: an identity opens an account only by a link, or by an address its provider has verified."""

from collections.abc import Iterator

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from accounts.models import Invitation, Membership, User
from accounts.services import invite
from tests.accounts.conftest import PASSWORD
from tests.accounts.provider import Provider


@pytest.fixture
def provider(settings) -> Iterator[Provider]:
    made = Provider()
    app = {
        "provider_id": "oidc",
        "name": "Acme login",
        "client_id": made.client_id,
        "secret": made.secret,
        "settings": {"server_url": made.url},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    yield made
    made.close()


def come(client: Client, provider: Provider, process: str = "login", **claims: object):
    """Goes to the provider and comes back as whom it says."""
    provider.claims = {"sub": "42", **claims}
    away = client.post(f"/accounts/oidc/oidc/login/?process={process}")
    assert away.status_code == 302, away.content
    return client.get(provider.authorize(away["Location"]))


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_the_log_in_page_offers_it_when_it_is_configured(db, provider, client):
    assert "Acme login" in client.get("/accounts/login/").content.decode()


def test_a_member_comes_in_by_a_verified_address_and_is_linked_from_then_on(viewer, provider, client, told):
    come(client, provider, email="Viewer@example.com", email_verified=True)
    assert is_in(client)
    assert SocialAccount.objects.get().user == viewer.user
    viewer.user.refresh_from_db()
    assert viewer.user.check_password(PASSWORD)
    (event,) = told("person:identity:connect")
    assert event.data["provider"] == "oidc"
    assert told("person:session:login")[0].data["methods"] == ["socialaccount"]

    again = Client()
    come(again, provider, email="changed@elsewhere.example", email_verified=False)
    assert is_in(again)
    assert len(told("person:identity:connect")) == 1


@pytest.mark.parametrize(
    "claims",
    [{"email_verified": False}, {}, {"email_verified": "true"}, {"email_verified": "false"}, {"email_verified": 1}],
)
def test_an_address_that_is_not_verified_opens_nothing(viewer, provider, client, claims):
    answer = come(client, provider, email="viewer@example.com", **claims)
    assert answer.status_code == 403
    assert "did not say that your e-mail address is verified" in answer.content.decode()
    assert not is_in(client)
    assert not SocialAccount.objects.exists()


def test_a_stranger_with_a_verified_address_is_not_let_in(viewer, provider, client):
    answer = come(client, provider, email="stranger@example.com", email_verified=True)
    assert answer.status_code == 403
    assert "Ask an owner or admin to invite" in answer.content.decode()
    assert not is_in(client)
    assert User.objects.count() == 1


def test_an_invitation_to_the_verified_address_is_accepted(admin, provider, client, told):
    invite.invite(organization=admin.organization, email="new@example.com", role="approver", by=admin)
    come(client, provider, email="new@example.com", email_verified=True, name="Newt")
    assert is_in(client)
    member = Membership.objects.get(user__email="new@example.com")
    assert (member.role, member.user.name, member.user.has_usable_password()) == ("approver", "Newt", False)
    assert Invitation.objects.get().accepted_at is not None
    assert told("person:member:join")


def test_an_invitation_does_not_let_in_an_address_that_is_not_verified(admin, provider, client):
    invite.invite(organization=admin.organization, email="new@example.com", role="approver", by=admin)
    assert come(client, provider, email="new@example.com", email_verified=False).status_code == 403
    assert not User.objects.filter(email="new@example.com").exists()


def test_somebody_inactive_or_without_organization_stays_out(viewer, provider, client):
    viewer.user.is_active = False
    viewer.user.save(update_fields=["is_active"])
    assert come(client, provider, email="viewer@example.com", email_verified=True).status_code == 403
    viewer.user.is_active = True
    viewer.user.save(update_fields=["is_active"])
    viewer.delete()
    assert come(client, provider, email="viewer@example.com", email_verified=True).status_code == 403
    assert not SocialAccount.objects.exists()


def test_a_person_connects_an_identity_from_their_account_after_proving_who_they_are(viewer, provider, client, told):
    client.post("/accounts/login/", {"login": "viewer@example.com", "password": PASSWORD})
    come(client, provider, "connect", email="private@elsewhere.example", email_verified=False)
    assert not SocialAccount.objects.exists()
    assert "Connect Acme login" in client.get("/accounts/3rdparty/").content.decode()
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert SocialAccount.objects.get().user == viewer.user
    again = Client()
    come(again, provider, email="private@elsewhere.example")
    assert is_in(again)
    assert "Disconnect" in client.get("/accounts/3rdparty/").content.decode()
    client.post("/accounts/3rdparty/", {"account": SocialAccount.objects.get().pk})
    assert not SocialAccount.objects.exists()
    assert len(told("person:identity:disconnect")) == 1


def test_an_identity_of_one_person_cannot_be_connected_to_another(viewer, owner, provider, client):
    come(Client(), provider, email="viewer@example.com", email_verified=True)
    client.post("/accounts/login/", {"login": "owner@example.com", "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    come(client, provider, "connect", email="viewer@example.com", email_verified=True)
    assert SocialAccount.objects.get().user == viewer.user


def test_a_process_that_is_neither_log_in_nor_connect_links_nobody(viewer, provider, client):
    come(client, provider, "redirect", email="viewer@example.com", email_verified=True)
    assert not is_in(client)
    assert not SocialAccount.objects.exists()


def test_who_came_in_without_a_password_sets_one_later(admin, provider, client, told):
    invite.invite(organization=admin.organization, email="new@example.com", role="viewer", by=admin)
    come(client, provider, email="new@example.com", email_verified=True)
    assert "Set one" in client.get("/profile/").content.decode()
    assert client.get("/accounts/password/set/").status_code == 200
    client.post("/accounts/password/set/", {"password1": PASSWORD, "password2": PASSWORD})
    assert len(told("person:password:set")) == 1
    answer = Client().post("/accounts/login/", {"login": "new@example.com", "password": PASSWORD})
    assert answer.status_code == 302


def test_a_provider_that_fails_is_said_so(db, provider, client):
    provider.claims = {}
    away = client.post("/accounts/oidc/oidc/login/?process=login")
    back = provider.authorize(away["Location"])
    provider.challenges.clear()
    page = client.get(back.replace("code=", "error=server_error&was="))
    assert "Single sign-on failed" in page.content.decode()
