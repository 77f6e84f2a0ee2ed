"""Teams: who may make them, and who is in them."""

import pytest
from django.urls import reverse

from accounts.models import Team
from accounts.rules import Refused
from accounts.services import teams


@pytest.fixture
def team(owner) -> Team:
    return teams.create(organization=owner.organization, name="Support  Desk", by=owner)


def test_an_admin_makes_a_team_and_puts_people_in_and_out(admin, viewer, approver, browser, told):
    client = browser(admin)
    assert "No teams yet" in client.get(reverse("accounts:teams")).content.decode()
    client.post(reverse("accounts:team_new"), {"name": "Support"})
    team = Team.objects.get()
    assert team.slug == "support"
    client.post(reverse("accounts:team", args=[team.pk]), {"members": [viewer.pk, approver.pk]})
    assert set(team.members.all()) == {viewer, approver}
    client.post(reverse("accounts:team", args=[team.pk]), {"members": [approver.pk]})
    assert set(team.members.all()) == {approver}
    first, second = told("person:team:members")
    assert first.data["added"] == ["approver@example.com", "viewer@example.com"]
    assert second.data["removed"] == ["viewer@example.com"]


def test_a_team_is_renamed_and_its_name_is_taken_once(owner, team, browser):
    other = teams.create(organization=owner.organization, name="Night", by=owner)
    client = browser(owner)
    answer = client.post(reverse("accounts:team_rename", args=[other.pk]), {"name": "support desk"})
    assert answer.status_code == 422
    assert "already" in answer.content.decode()
    client.post(reverse("accounts:team_rename", args=[other.pk]), {"name": "Night shift"})
    other.refresh_from_db()
    assert (other.name, other.slug) == ("Night shift", "night-shift")


def test_a_name_without_letters_will_not_do(owner):
    with pytest.raises(Refused, match="letters or digits"):
        teams.create(organization=owner.organization, name="…", by=owner)


def test_deleting_a_team_asks_first_and_keeps_its_members(owner, team, viewer, browser, told):
    team.members.add(viewer)
    client = browser(owner)
    assert "Delete Support Desk?" in client.get(reverse("accounts:team_delete", args=[team.pk])).content.decode()
    assert Team.objects.exists()
    client.post(reverse("accounts:team_delete", args=[team.pk]))
    assert not Team.objects.exists()
    viewer.refresh_from_db()
    assert told("person:team:delete")[0].data["members"] == ["viewer@example.com"]


def test_an_auditor_reads_teams_and_changes_none(auditor, team, viewer, browser):
    client = browser(auditor)
    assert client.get(reverse("accounts:team", args=[team.pk])).status_code == 200
    client.post(reverse("accounts:team", args=[team.pk]), {"members": [viewer.pk]})
    assert not team.members.exists()
    for name in ("team_rename", "team_delete"):
        assert client.post(reverse(f"accounts:{name}", args=[team.pk]), {"name": "x"}).status_code == 403
    assert client.post(reverse("accounts:team_new"), {"name": "x"}).status_code == 403


def test_a_stranger_finds_no_team_of_ours_and_lends_nobody(owner, team, stranger, browser):
    client = browser(stranger)
    for name in ("team", "team_rename", "team_delete"):
        for method in (client.get, client.post):
            assert method(reverse(f"accounts:{name}", args=[team.pk])).status_code == 404
    with pytest.raises(Refused, match="not a member"):
        teams.set_members(team=team, members=[stranger.pk], by=owner)
    with pytest.raises(Refused, match="do not belong"):
        teams.rename(team=team, name="Ours now", by=stranger)
    answer = browser(owner).post(reverse("accounts:team", args=[team.pk]), {"members": [stranger.pk]})
    assert answer.status_code == 422
