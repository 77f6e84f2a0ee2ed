"""The organization, its members, teams and invitations by script."""

import pytest

from accounts.models import Membership
from audit.models import Event
from tests.api.conftest import Api, a_token
from tests.factories import a_member


def test_settings_are_read_and_changed(owner, world):
    before = owner("GET", "organization", status=200)
    assert (before["id"], before["name"]) == (str(world.acme.id), "Acme")
    after = owner("PUT", "organization", {"name": "Acme Ltd", "environments": ["production", "edge"]}, 200)
    assert (after["name"], after["environments"]) == ("Acme Ltd", ["production", "edge"])
    assert after["claim_seconds"] == before["claim_seconds"]
    assert "environments" in owner("PUT", "organization", {"environments": []}, 422)["detail"]
    assert "claim_seconds" in owner("PUT", "organization", {"claim_seconds": 1}, 422)["detail"]
    assert Event.objects.filter(kind="person:organization:change").count() == 1


def test_members(owner, world, approver):
    shown = {each["email"]: each for each in owner("GET", "members", status=200)}
    assert {each["role"] for each in shown.values()} == {"owner", "approver"}
    path = f"members/{shown[approver.person.email]['id']}"
    assert owner("PUT", path, {"role": "viewer"}, 200)["role"] == "viewer"
    approver("GET", "logs", status=403)
    assert owner("DELETE", path, status=204) is None
    approver("GET", "agents", status=401)
    last = f"members/{shown[owner.person.email]['id']}"
    assert "last owner" in owner("PUT", last, {"role": "viewer"}, 409)["detail"]
    assert "last owner" in owner("DELETE", last, status=409)["detail"]
    assert "role" in owner("PUT", last, {"role": "king"}, 422)["detail"]


def test_an_admin_makes_no_owner(world, owner):
    admin = world.person("admin")
    path = f"members/{next(each['id'] for each in admin('GET', 'members', status=200) if each['role'] == 'owner')}"
    assert "Only an owner" in admin("PUT", path, {"role": "viewer"}, 409)["detail"]
    assert "Only an owner" in admin("POST", "invitations", {"email": "x@example.com", "role": "owner"}, 409)["detail"]


@pytest.mark.django_db(transaction=True)
def test_invitations(world, owner):
    made = owner("POST", "invitations", {"email": "New@Example.com", "role": "viewer"}, 201)
    assert made["invitation"]["email"] == "new@example.com"
    assert made["link"].startswith("http")
    assert made["mail_error"] == ""
    path = f"invitations/{made['invitation']['id']}"
    assert (
        "open invitation" in owner("POST", "invitations", {"email": "new@example.com", "role": "viewer"}, 409)["detail"]
    )
    again = owner("POST", f"{path}/resend", status=200)
    assert again["link"] != made["link"]
    listed = owner("GET", "invitations", status=200)
    assert [each["email"] for each in listed] == ["new@example.com"]
    assert made["link"].rpartition("/")[2] not in str(listed)
    assert owner("DELETE", path, status=204) is None
    assert owner("GET", "invitations", status=200) == []
    assert owner("DELETE", path, status=409)


def test_teams(owner, world, approver):
    made = owner("POST", "teams", {"name": "Finance", "members": [approver.person.email.upper()]}, 201)
    assert (made["slug"], made["members"]) == ("finance", [approver.person.email])
    assert owner("GET", "teams", status=200) == [made]
    changed = owner("PUT", "teams/finance", {"name": "Money", "members": []}, 200)
    assert (changed["slug"], changed["members"]) == ("money", [])
    refused = owner("PUT", f"teams/{made['id']}", {"name": "Gone", "members": ["x@example.com"]}, 422)
    assert "x@example.com is no member" in refused["detail"]
    assert owner("GET", "teams", status=200)[0]["name"] == "Money"
    assert owner("POST", "teams", {"name": "Other", "members": ["x@example.com"]}, 422)
    assert len(owner("GET", "teams", status=200)) == 1
    assert owner("DELETE", "teams/money", status=204) is None


def test_another_organizations_people_are_not_there(owner, stranger, world):
    member = owner("GET", "members", status=200)[0]["id"]
    team = owner("POST", "teams", {"name": "Finance"}, 201)["id"]
    invitation = owner("POST", "invitations", {"email": "n@example.com", "role": "viewer"}, 201)["invitation"]["id"]
    stranger("PUT", f"members/{member}", {"role": "viewer"}, 404)
    stranger("DELETE", f"members/{member}", status=404)
    stranger("PUT", f"teams/{team}", {"name": "Mine"}, 404)
    stranger("DELETE", "teams/finance", status=404)
    stranger("POST", f"invitations/{invitation}/resend", status=404)
    stranger("DELETE", f"invitations/{invitation}", status=404)
    assert stranger("POST", "teams", {"name": "T", "members": [owner.person.email]}, 422)
    assert len(stranger("GET", "members", status=200)) == 1
    assert Membership.objects.filter(organization=world.acme).count() == 1


@pytest.mark.parametrize("path", ["members", "teams", "invitations", "organization"])
def test_who_may_read_people_and_settings(world, path):
    world.person("auditor")("GET", path, status=200)
    world.person("viewer")("GET", path, status=403)
    auditor = Api(a_token(a_member(world.acme, "auditor"), "agents:read"))
    auditor("GET", path, status=403)


def test_whoever_holds_a_token_may_ask_what_it_opens(db, world):
    person = a_member(world.acme, "owner")
    token = Api(a_token(person, "agents:write", "logs:read"), person)
    told = token("GET", "whoami", status=200)
    assert (told["email"], told["role"], told["scopes"]) == (person.email, "owner", ["agents:write", "logs:read"])
    Membership.objects.filter(user=person).update(role="viewer")
    assert token("GET", "whoami", status=200)["scopes"] == []
