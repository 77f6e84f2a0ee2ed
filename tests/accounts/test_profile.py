"""One's own account."""

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts import urls
from accounts.models import User
from accounts.names import clean_name


def test_a_person_changes_their_name_and_the_record_says_so(viewer, browser, told):
    client = browser(viewer)
    client.post(reverse("accounts:profile"), {"name": "  Vera   Viewer "})
    assert User.objects.get(pk=viewer.user_id).name == "Vera Viewer"
    assert told("person:profile:change")[0].data["changes"]["name"] == {"from": "Viewer", "to": "Vera Viewer"}
    assert client.post(reverse("accounts:profile"), {"name": "x" * 121}).status_code == 422


def test_a_name_is_escaped_where_others_see_it(owner, viewer, browser):
    browser(viewer).post(reverse("accounts:profile"), {"name": "<script>alert(1)</script>\u202eZoë\u200b"})
    for url in (reverse("accounts:members"), reverse("accounts:member", args=[viewer.pk])):
        page = browser(owner).get(url).content.decode()
        assert "<script>alert" not in page
        assert "&lt;/script&gt;Zoë" in page


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ada \n Lovelace ", "Ada Lovelace"),
        ("eve\u202emoc.elpmaxe", "evemoc.elpmaxe"),
        ("a\u0000b\u200bc\ufeff", "abc"),
        ("نیم\u200cفاصله", "نیم\u200cفاصله"),
        ("👩\u200d💻 Dev", "👩\u200d💻 Dev"),
    ],
)
def test_names_keep_their_letters_and_nothing_that_hides_or_turns_others(typed, kept):
    assert clean_name(typed, 120) == kept


@pytest.mark.parametrize(
    "url",
    [
        "/profile/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/accounts/2fa/",
        "/accounts/sessions/",
        "/accounts/3rdparty/",
        "/accounts/reauthenticate/",
        "/profile/tokens/",
        "/profile/tokens/new/",
        "/settings/",
        "/settings/members/",
        "/settings/members/invite/",
        "/settings/members/invitations/",
        "/settings/teams/",
        "/settings/teams/new/",
        "/settings/organization/",
        "/settings/kill-switch/",
        "/settings/kill-switch/stop",
        "/settings/organization/leave/",
        "/settings/organizations/new/",
    ],
)
def test_every_page_opens_for_an_owner_in_each_theme_and_mode(url, owner, browser):
    client = browser(owner)
    client.post(reverse("accounts:set_theme"), {"theme": "dark"})
    client.post(reverse("accounts:switch_mode"), {"mode": "test"})
    page = client.get(url)
    assert page.status_code == 200
    assert " style=" not in page.content.decode()  # which the policy of the pages refuses


@pytest.mark.parametrize("url", ["/accounts/login/", "/accounts/password/reset/", "/accounts/password/reset/done/"])
def test_the_entrance_is_open_to_everybody(url, db, client):
    assert client.get(url).status_code == 200


OPEN = {"setup", "join", "set_theme"}  # links from outside; the theme of the log-in page


def test_every_other_view_of_this_room_asks_to_log_in(db, client):
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        assert getattr(pattern.callback, "login_required", True) is (pattern.name not in OPEN), pattern.name


def test_every_view_of_django_allauth_runs_in_one_transaction():
    def views(patterns):
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from views(pattern.url_patterns)
            else:
                yield pattern.callback

    mounted = next(each for each in get_resolver().url_patterns if str(each.pattern) == "accounts/")
    found = list(views(mounted.url_patterns))
    assert len(found) > 30
    for view in found:
        assert view.__code__.co_filename.endswith("contextlib.py"), view
