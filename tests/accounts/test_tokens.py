"""Access tokens: made once, shown once, judged at every use."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AccessToken, Membership
from accounts.rules import Refused
from accounts.secrets import is_well_formed, new_secret
from accounts.services import members, tokens
from accounts.tokens import authenticate_token, token_may
from audit.clock import database_now
from audit.models import Event


def made(member: Membership, *scopes: str, days: int | None = None) -> str:
    _, raw = tokens.create(member=member, name="script", scopes=scopes or ["agents:read"], days=days, by=member)
    return raw


def test_a_token_is_forty_characters_with_a_checksum_and_kept_only_as_a_hash(admin):
    raw = made(admin)
    assert len(raw) == 40
    assert raw.startswith("wpat_")
    assert is_well_formed(raw, "wpat_")
    assert raw not in str(AccessToken.objects.values_list())
    assert raw not in str(Event.objects.values_list())


def test_a_token_is_its_person_in_its_organization(admin):
    token = authenticate_token(made(admin, "agents:write"))
    assert token.user == admin.user
    assert token.membership == admin
    assert token_may(token, "agents:write")
    assert not token_may(token, "approvals:decide")  # in the role, not in the scopes


@pytest.mark.parametrize("raw", ["", "wpat_", "wpat_" + "0" * 35, "é" * 40, "ak_" + "0" * 37])
def test_nonsense_is_nobody_and_asks_the_database_nothing(raw, db):
    with CaptureQueriesContext(connection) as queries:
        assert authenticate_token(raw) is None
    assert len(queries) == 0


def test_a_well_formed_token_that_was_never_made_is_nobody(db):
    assert authenticate_token(new_secret("wpat_")) is None


def test_an_agents_key_is_no_access_token(db):
    assert authenticate_token(new_secret("ak_")) is None


def test_a_token_ends_when_it_expires_is_revoked_or_its_person_goes(owner, admin, viewer):
    raw = made(viewer, days=1)
    assert authenticate_token(raw)
    AccessToken.objects.update(expires_at=database_now() - timedelta(seconds=1))
    assert authenticate_token(raw) is None

    raw = made(admin)
    tokens.revoke(token=AccessToken.objects.get(user=admin.user), by=admin)
    assert authenticate_token(raw) is None

    raw = made(admin)
    admin.user.is_active = False
    admin.user.save(update_fields=["is_active"])
    assert authenticate_token(raw) is None

    raw = made(viewer)
    members.remove(member=viewer, by=owner)
    assert authenticate_token(raw) is None


def test_coming_back_does_not_bring_a_removed_members_tokens_back(owner, viewer):
    raw = made(viewer)
    members.remove(member=viewer, by=owner)
    members.add(organization=owner.organization, user=viewer.user, role="admin", by=owner)
    assert authenticate_token(raw) is None


def test_a_role_that_is_lost_takes_the_scope_with_it(owner, admin):
    raw = made(admin, "agents:write", "agents:read")
    members.change_role(member=admin, role="viewer", by=owner)
    token = authenticate_token(raw)
    assert not token_may(token, "agents:write")
    assert token_may(token, "agents:read")


def test_nobody_gives_a_token_what_they_may_not(viewer, approver):
    with pytest.raises(Refused, match="agents:write"):
        made(viewer, "agents:write")
    with pytest.raises(Refused, match="at least one scope"):
        made(approver, "approvals:nonsense")
    with pytest.raises(Refused, match="days"):
        made(approver, days=4_000)


def test_nobody_makes_a_token_for_somebody_else(owner, viewer):
    with pytest.raises(Refused, match="somebody else"):
        tokens.create(member=viewer, name="x", scopes=["agents:read"], days=None, by=owner)


def test_the_first_use_is_recorded_and_the_time_of_the_last_kept_to_the_minute(admin, told):
    raw = made(admin)
    for _ in range(3):
        authenticate_token(raw)
    assert len(told("person:token:first_use")) == 1
    earlier = database_now() - timedelta(minutes=2)
    AccessToken.objects.update(last_used_at=earlier)
    authenticate_token(raw)
    assert AccessToken.objects.get().last_used_at > earlier + timedelta(minutes=1)


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_person_makes_a_token_sees_it_once_and_revokes_it(approver, browser, told):
    client = browser(approver)
    assert "No tokens yet" in client.get(reverse("accounts:tokens")).content.decode()
    form = client.get(reverse("accounts:token_new")).content.decode()
    assert "approvals:decide" in form
    assert "agents:write" not in form
    data = {"name": "nightly", "scopes": ["approvals:decide"], "days": "30"}
    page = client.post(reverse("accounts:token_new"), data)
    assert page["Cache-Control"] == "no-store"
    raw = re.search(r"wpat_\w{35}", page.content.decode()).group(0)
    assert raw not in client.get(reverse("accounts:tokens")).content.decode()
    token = authenticate_token(raw)
    assert token.expires_at is not None
    url = reverse("accounts:token_revoke", args=[token.pk])
    assert "Revoke nightly?" in re.sub(r"<[^>]+>", "", client.get(url).content.decode())
    assert authenticate_token(raw)
    client.post(url)
    assert authenticate_token(raw) is None
    client.post(url)
    assert len(told("person:token:revoke")) == 1


def test_a_scope_beyond_the_role_is_refused_on_the_page(viewer, browser):
    answer = browser(viewer).post(reverse("accounts:token_new"), {"name": "x", "scopes": ["agents:write"], "days": ""})
    assert answer.status_code == 422
    assert not AccessToken.objects.exists()


def test_an_admin_revokes_a_viewers_token_but_not_an_owners(owner, admin, viewer, browser):
    theirs, owners = made(viewer), made(owner)
    client = browser(admin)
    for raw in (theirs, owners):
        token = authenticate_token(raw)
        client.post(reverse("accounts:token_revoke", args=[token.pk]))
    assert authenticate_token(theirs) is None
    assert authenticate_token(owners)


def test_a_viewer_and_a_stranger_revoke_nobody_elses_token(admin, viewer, stranger, browser):
    raw = made(admin)
    url = reverse("accounts:token_revoke", args=[authenticate_token(raw).pk])
    assert browser(viewer).post(url).status_code == 403
    assert browser(stranger).post(url).status_code == 404
    assert authenticate_token(raw)
