"""Who may change whom, and what always stays: an owner."""

import threading

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts import rules
from accounts.by import COMMAND_LINE
from accounts.models import AccessToken, Membership, Team
from accounts.rules import Refused
from accounts.services import members, tokens
from audit.leaf import Actor


@pytest.mark.parametrize(
    ("by", "target", "allowed"),
    [
        ("owner", "owner", True),
        ("owner", "viewer", True),
        ("admin", "owner", False),
        ("admin", "admin", True),
        ("admin", "viewer", True),
        ("approver", "viewer", False),
        ("auditor", "viewer", False),
        ("viewer", "viewer", False),
        ("nonsense", "viewer", False),
    ],
)
def test_only_owners_touch_owners_and_only_admins_touch_anybody(by, target, allowed):
    assert (rules.why_not(rules.check_touch, by, target) == "") is allowed


def test_an_admin_gives_every_role_but_owner():
    assert "owner" not in rules.roles_to_give("admin")
    assert set(rules.roles_to_give("owner")) == {"owner", "admin", "approver", "auditor", "viewer"}
    assert rules.roles_to_give("approver") == {}


def test_an_owner_makes_a_viewer_an_approver_and_the_record_says_so(owner, viewer, told):
    members.change_role(member=viewer, role="approver", by=owner)
    viewer.refresh_from_db()
    assert viewer.role == "approver"
    (event,) = told("person:member:role")
    assert event.actor == "owner@example.com"
    assert event.data == {"email": "viewer@example.com", "from": "viewer", "to": "approver"}


def test_giving_the_same_role_again_is_no_event(owner, viewer, told):
    members.change_role(member=viewer, role="viewer", by=owner)
    assert told("person:member:role") == []


def test_an_admin_cannot_make_herself_an_owner(owner, admin):
    with pytest.raises(Refused, match="Only an owner"):
        members.change_role(member=admin, role="owner", by=admin)


def test_an_admin_cannot_demote_an_owner(owner, admin):
    with pytest.raises(Refused, match="Only an owner"):
        members.change_role(member=owner, role="viewer", by=admin)


def test_somebody_demoted_a_moment_ago_acts_as_what_they_are_now(owner, admin, viewer):
    as_it_was = Membership.objects.get(pk=admin.pk)
    members.change_role(member=admin, role="viewer", by=owner)
    with pytest.raises(Refused, match="does not include"):
        members.change_role(member=viewer, role="approver", by=as_it_was)


def test_the_last_owner_cannot_be_demoted_removed_or_leave(owner):
    for attempt in (
        lambda: members.change_role(member=owner, role="admin", by=owner),
        lambda: members.remove(member=owner, by=owner),
        lambda: members.leave(member=owner),
        lambda: members.remove(member=owner, by=COMMAND_LINE),
    ):
        with pytest.raises(Refused, match="last owner"):
            attempt()


def test_an_owner_who_cannot_log_in_does_not_count_as_the_other_owner(owner, join):
    other = join("owner", "other@example.com")
    other.user.is_active = False
    other.user.save(update_fields=["is_active"])
    with pytest.raises(Refused, match="last owner"):
        members.leave(member=owner)


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays(owner, join):
    other = join("owner", "other@example.com")
    start, refused = threading.Barrier(2), []

    def leave(member: Membership) -> None:
        start.wait()
        try:
            members.leave(member=member)
        except Refused:
            refused.append(member)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=[member]) for member in (owner, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert Membership.objects.get(role="owner").pk == refused[0].pk


def test_removing_a_member_revokes_their_tokens_and_empties_their_teams(owner, viewer, organization, told):
    team = Team.objects.create(organization=organization, name="Support", slug="support")
    team.members.add(viewer)
    tokens.create(member=viewer, name="mine", scopes=["agents:read"], days=None, by=viewer)
    members.remove(member=viewer, by=owner)
    assert not Membership.objects.filter(pk=viewer.pk).exists()
    assert AccessToken.objects.get().revoked_at is not None
    assert not team.members.exists()
    (event,) = told("person:member:remove")
    assert event.data["teams"] == ["support"]
    assert event.data["tokens_revoked"] == 1


def test_agents_are_nobody_here(owner, viewer):
    with pytest.raises(Refused):
        members.remove(member=viewer, by=Actor("agent", "x", "support-bot"))


def test_a_member_of_another_organization_cannot_act_here(owner, viewer, stranger):
    with pytest.raises(Refused, match="do not belong"):
        members.remove(member=viewer, by=stranger)


# --- pages ----------------------------------------------------------------------------------------------------------


def test_an_owner_sees_members_and_searches_them(owner, viewer, browser):
    page = browser(owner).get(reverse("accounts:members"))
    assert page.status_code == 200
    assert b"viewer@example.com" in page.content
    found = browser(owner).get(reverse("accounts:members"), {"q": "VIEWER"}).content.decode()
    assert "viewer@example.com" in found
    assert "No member matches" in browser(owner).get(reverse("accounts:members"), {"q": "zzz"}).content.decode()


def test_members_come_in_pages(owner, join, browser):
    for number in range(55):
        join("viewer", f"v{number:02}@example.com")
    page = browser(owner).get(reverse("accounts:members")).content.decode()
    assert "1–50 of 56" in page
    assert "v54@example.com" in browser(owner).get(reverse("accounts:members"), {"page": 2}).content.decode()


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_viewers_and_approvers_do_not_see_the_members(role, join, browser):
    assert browser(join(role)).get(reverse("accounts:members")).status_code == 403


def test_an_auditor_sees_members_and_changes_none(auditor, viewer, browser):
    client = browser(auditor)
    assert client.get(reverse("accounts:member", args=[viewer.pk])).status_code == 200
    client.post(reverse("accounts:member", args=[viewer.pk]), {"role": "admin"})
    assert client.post(reverse("accounts:member_remove", args=[viewer.pk])).status_code == 403
    viewer.refresh_from_db()
    assert viewer.role == "viewer"


def test_an_owner_changes_a_role_on_the_page(owner, viewer, browser):
    answer = browser(owner).post(reverse("accounts:member", args=[viewer.pk]), {"role": "admin"}, follow=True)
    assert "Viewer is admin now." in answer.content.decode()
    viewer.refresh_from_db()
    assert viewer.role == "admin"


def test_an_admin_sees_why_an_owner_is_out_of_reach(owner, admin, browser):
    client = browser(admin)
    assert "Only an owner can change" in client.get(reverse("accounts:member", args=[owner.pk])).content.decode()
    client.post(reverse("accounts:member", args=[owner.pk]), {"role": "viewer"})
    client.post(reverse("accounts:member_remove", args=[owner.pk]))
    owner.refresh_from_db()
    assert owner.role == "owner"


def test_removing_asks_first(owner, viewer, browser):
    client = browser(owner)
    assert "Remove" in client.get(reverse("accounts:member_remove", args=[viewer.pk])).content.decode()
    assert Membership.objects.filter(pk=viewer.pk).exists()
    client.post(reverse("accounts:member_remove", args=[viewer.pk]))
    assert not Membership.objects.filter(pk=viewer.pk).exists()


def test_a_stranger_finds_nobody_of_ours(viewer, stranger, browser):
    client = browser(stranger)
    for name in ("member", "member_remove"):
        for method in (client.get, client.post):
            assert method(reverse(f"accounts:{name}", args=[viewer.pk]), {"role": "admin"}).status_code == 404
    assert b"viewer@example.com" not in client.get(reverse("accounts:members")).content


def test_nobody_logged_in_is_sent_to_log_in(client, viewer):
    answer = client.get(reverse("accounts:member", args=[viewer.pk]))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_a_change_without_a_csrf_token_is_refused(owner, viewer):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)
    assert client.post(reverse("accounts:member", args=[viewer.pk]), {"role": "admin"}).status_code == 403
    viewer.refresh_from_db()
    assert viewer.role == "viewer"
