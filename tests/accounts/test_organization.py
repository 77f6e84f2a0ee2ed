"""The organization: settings, kill switch, switching, leaving."""

import pytest
from django.urls import reverse

from accounts import pages
from accounts.forms.organization import split_seconds
from accounts.models import Membership, Organization
from accounts.rules import Refused
from accounts.services import organizations

FORM = {
    "retention_months": "36",
    "name": "Acme & Sons",
    "environments": "production, eu-staging",
    "cooldown": "5",
    "cooldown_unit": "60",
    "claim": "2",
    "claim_unit": "3600",
}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(600, (10, 60)), (3_600, (1, 3_600)), (86_400, (1, 86_400)), (90, (90, 1)), (0, (0, 60)), (5_400, (90, 60))],
)
def test_durations_are_shown_in_the_largest_unit_that_is_exact(seconds, words):
    assert split_seconds(seconds) == words


def test_an_admin_changes_settings_and_the_record_says_from_what_to_what(admin, browser, told):
    answer = browser(admin).post(reverse("accounts:organization"), FORM, follow=True)
    assert "Saved" in answer.content.decode()
    organization = Organization.objects.get()
    assert organization.name == "Acme & Sons"
    assert organization.environments == ["production", "eu-staging"]
    assert (organization.cooldown_seconds, organization.claim_seconds) == (300, 7_200)
    (event,) = told("person:organization:change")
    assert event.data["changes"]["claim_seconds"] == {"from": 3_600, "to": 7_200}
    browser(admin).post(reverse("accounts:organization"), FORM)
    assert len(told("person:organization:change")) == 1  # nothing changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environments": "Prod uction"}, "lower-case"),
        ({"environments": "a, a"}, "each once"),
        ({"environments": " , "}, "at least one"),
        ({"cooldown": "2", "cooldown_unit": "86400"}, "At most one day"),
        ({"claim": "10", "claim_unit": "1"}, "From 30 seconds"),
        ({"claim": "8", "claim_unit": "86400"}, "From 30 seconds"),
        ({"cooldown": "-1"}, "greater than or equal to 0"),
        ({"name": ""}, "required"),
    ],
)
def test_what_will_not_do_is_said_and_nothing_is_saved(admin, browser, change, words):
    answer = browser(admin).post(reverse("accounts:organization"), FORM | change)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Organization.objects.get().name == "Acme"


def test_an_auditor_reads_settings_and_changes_none(auditor, browser):
    client = browser(auditor)
    assert "10 minutes" in client.get(reverse("accounts:organization")).content.decode()
    assert client.post(reverse("accounts:organization"), FORM).status_code == 403
    assert Organization.objects.get().name == "Acme"


def test_a_viewer_does_not_see_the_settings(viewer, browser):
    client = browser(viewer)
    assert client.get(reverse("accounts:organization")).status_code == 403
    index = client.get(reverse("accounts:settings")).content.decode()
    assert f'href="{reverse("accounts:organization")}"' not in index
    assert f'href="{reverse("accounts:members")}"' not in index


def test_an_owner_makes_another_organization_and_is_in_it(owner, browser):
    client = browser(owner)
    client.post(reverse("accounts:organization_new"), {"name": "Acme"})
    other = Organization.objects.exclude(pk=owner.organization_id).get()
    assert other.slug == "acme-2"
    assert Membership.objects.get(organization=other).role == "owner"
    assert client.session["organization"] == str(other.pk)


def test_an_admin_makes_no_other_organization(admin, browser):
    assert browser(admin).post(reverse("accounts:organization_new"), {"name": "Mine"}).status_code == 403
    with pytest.raises(Refused):
        organizations.create(name="Mine", by=admin, owner=admin.user)


def test_a_viewer_leaves_and_belongs_nowhere(viewer, browser):
    client = browser(viewer)
    assert "Leave Acme?" in client.get(reverse("accounts:leave")).content.decode()
    client.post(reverse("accounts:leave"))
    assert not Membership.objects.filter(pk=viewer.pk).exists()
    assert client.get(reverse("accounts:members"))["Location"] == reverse("accounts:no_organization")
    assert "You belong to no organization" in client.get(reverse("accounts:no_organization")).content.decode()
    assert client.get(reverse("accounts:profile")).status_code == 200


def test_the_last_owner_is_told_why_they_cannot_leave(owner, browser):
    page = browser(owner).post(reverse("accounts:leave"), follow=True).content.decode()
    assert "last owner" in page


def test_members_are_sent_on_from_the_page_for_those_who_belong_nowhere(viewer, browser):
    assert browser(viewer).get(reverse("accounts:no_organization"))["Location"] == "/"


# --- switches -------------------------------------------------------------------------------------------------------


def test_one_switches_to_an_organization_one_belongs_to_and_to_no_other(owner, stranger, join, browser):
    client = browser(owner)
    url = reverse("accounts:switch_organization")
    for wrong in (str(stranger.organization_id), "nonsense", ""):
        assert client.post(url, {"organization": wrong}).status_code == 404
    Membership.objects.create(organization=stranger.organization, user=owner.user, role="viewer")
    assert client.post(url, {"organization": str(stranger.organization_id)}).status_code == 302
    assert client.get(reverse("accounts:members")).status_code == 403  # a viewer there
    assert client.get(url).status_code == 405


def test_test_mode_is_kept_for_the_session(owner, browser):
    client = browser(owner)
    client.post(reverse("accounts:switch_mode"), {"mode": "test"})
    assert "Test mode" in client.get(reverse("accounts:settings")).content.decode()
    assert client.post(reverse("accounts:switch_mode"), {"mode": "prod"}).status_code == 404
    client.post(reverse("accounts:switch_mode"), {"mode": "live"})
    assert "Test mode" not in client.get(reverse("accounts:settings")).content.decode()


def test_a_theme_is_kept_for_the_person(owner, browser):
    client = browser(owner)
    client.post(reverse("accounts:set_theme"), {"theme": "dark"})
    assert 'data-theme="dark"' in client.get(reverse("accounts:settings")).content.decode()
    assert client.post(reverse("accounts:set_theme"), {"theme": "neon"}).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "went"),
    [("/settings/", "/settings/"), ("https://evil.example/", "/"), ("//evil.example/", "/"), ("", "/")],
)
def test_a_switch_goes_back_to_our_own_pages_only(owner, browser, wanted, went):
    answer = browser(owner).post(reverse("accounts:set_theme"), {"theme": "light", "next": wanted})
    assert answer["Location"] == went


def test_settings_list_what_the_role_may_open(owner, browser, monkeypatch):
    monkeypatch.setattr(pages, "_pages", dict(pages._pages))
    pages.register(pages.Page("accounts:no_such_page", "Nowhere", "", "bot"))
    page = browser(owner).get(reverse("accounts:settings")).content.decode()
    assert "Members" in page
    assert "Teams" in page
    assert "Nowhere" not in page
