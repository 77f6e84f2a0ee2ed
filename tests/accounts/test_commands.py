"""Whatever a page does can be scripted."""

import io
import json
import sys

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Membership, User
from accounts.tokens import authenticate_token, token_may
from tests.accounts.conftest import PASSWORD


@pytest.fixture
def run(monkeypatch, db):
    """`run("create_user", …, typed="a password")` → what the command says with --json."""

    def call(*words: str, typed: str = "") -> object:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        out = io.StringIO()
        call_command(*words, "--json", stdout=out)
        return json.loads(out.getvalue())

    return call


def test_a_person_is_made_with_a_password_from_standard_input_and_logs_in(run, organization, client, told):
    said = run("create_user", "New@Example.com", "--role", "approver", "--name", "Newt", "--password-stdin",
               typed=PASSWORD + "\n")  # fmt: skip
    assert said == {
        "id": str(User.objects.get().id), "email": "new@example.com", "name": "Newt", "role": "approver",
        "organization": "acme", "created": True,
    }  # fmt: skip
    answer = client.post("/accounts/login/", {"login": "new@example.com", "password": PASSWORD})
    assert answer.status_code == 302
    assert told("system:member:add")[0].data == {"email": "new@example.com", "role": "approver"}


def test_the_first_owner_of_an_empty_installation_gets_an_organization(run):
    said = run("create_user", "owner@example.com", "--role", "owner")
    assert said["organization"] == "my-organization"
    assert not User.objects.get().has_usable_password()


def test_somebody_who_exists_is_added_and_keeps_their_password(run, viewer, elsewhere):
    said = run("create_user", "viewer@example.com", "--role", "admin", "--organization", "globex")
    assert said["created"] is False
    assert Membership.objects.get(user=viewer.user, organization=elsewhere).role == "admin"
    with pytest.raises(CommandError, match="its password stays"):
        run("create_user", "viewer@example.com", "--role", "admin", "--organization", "globex", "--password-stdin",
            typed=PASSWORD)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "typed", "why"),
    [
        (["nonsense", "--role", "viewer"], "", "valid email"),
        (["x@example.com", "--role", "viewer", "--organization", "nowhere"], "", "There are: acme, globex"),
        (["x@example.com", "--role", "viewer"], "", "several organizations"),
        (["x@example.com", "--role", "viewer", "--organization", "acme", "--password-stdin"], "short\n", "at least 12"),
        (["x@example.com", "--role", "viewer", "--organization", "acme", "--password-stdin"], "", "no password"),
    ],
)
def test_a_mistake_is_said_and_makes_nothing(run, organization, elsewhere, words, typed, why):
    with pytest.raises(CommandError, match=why):
        run("create_user", *words, typed=typed)
    assert not User.objects.exists()


def test_without_an_organization_only_an_owner_can_be_made(run):
    with pytest.raises(CommandError, match="create_organization"):
        run("create_user", "x@example.com", "--role", "viewer")


def test_an_access_token_is_printed_and_works(run, approver, told):
    said = run("create_access_token", "approver@example.com", "--scope", "approvals:decide", "--scope", "logs:read",
               "--expires-days", "7")  # fmt: skip
    token = authenticate_token(said["access_token"])
    assert token_may(token, "approvals:decide")
    assert token_may(token, "logs:read")
    assert not token_may(token, "approvals:read")
    assert said["expires_at"] is not None
    assert said["access_token"] not in str(told("system:token:create")[0].body)


def test_a_token_gets_no_scope_beyond_the_role_and_nobody_elses(run, viewer):
    with pytest.raises(CommandError, match="does not include approvals:decide"):
        run("create_access_token", "viewer@example.com", "--scope", "approvals:decide")
    with pytest.raises(CommandError, match="not a member of acme"):
        run("create_access_token", "nobody@example.com", "--scope", "logs:read")


def test_organizations_are_made(run, viewer):
    said = run("create_organization", "Night Shift", "--owner", "viewer@example.com")
    assert said["slug"] == "night-shift"
    assert Membership.objects.get(organization__slug="night-shift").role == "owner"
    with pytest.raises(CommandError, match="already"):
        run("create_organization", "Other", "--slug", "night-shift")
    with pytest.raises(CommandError, match="lower-case"):
        run("create_organization", "Other", "--slug", "Not A Slug")


def test_an_invitation_is_printed_with_its_link(run, organization):
    said = run("invite", "new@example.com", "--role", "viewer")
    assert Client().get(said["link"].removeprefix("http://127.0.0.1:8000")).status_code == 200
    with pytest.raises(CommandError, match="open invitation"):
        run("invite", "new@example.com", "--role", "viewer")


def test_members_are_listed(run, owner, viewer):
    assert [(each["email"], each["role"]) for each in run("list_members")] == [
        ("owner@example.com", "owner"),
        ("viewer@example.com", "viewer"),
    ]
    out = io.StringIO()
    call_command("list_members", stdout=out)
    assert "owner     owner@example.com" in out.getvalue()
