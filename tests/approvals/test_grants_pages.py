"""Grants on pages: offered where they may be, listed, read, revoked; in a browser, from the keyboard."""

import json
from collections.abc import Callable
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.utils.html import strip_tags
from playwright.sync_api import expect

from accounts.models import Membership, Organization
from approvals.models import Approval, Grant
from audit.clock import database_now
from audit.leaf import Actor, Entry
from audit.models import Event
from audit.record import record_all
from tests import factories
from tests.approvals.browsing import NARROW, WIDE, Desk, check_accessible, picture
from tests.approvals.conftest import Acme, make_acme
from tests.server import Server

Enter = Callable[..., Client]
CONTEXT = {"amount": "312.50", "currency": "USD", "customer_id": "cus_ABC123", "order": "ord_1042"}
TERMS = {"grant": "1", "grant_minutes": "120", "grant_uses": "10", "grant_each": "300", "grant_total": "1500"}


def a_request(acme: Acme, **more: Any) -> Approval:
    return factories.an_approval(
        agent=acme.bot,
        amount="312.50",
        context={"customer_id": "cus_ABC123", "order": "ord_1042"},
        rule={"grants_allowed": True},
        **more,
    )


def give(client: Client, row: Approval, **more: str) -> Any:
    form = {"digest": row.digest, "reason": "Fine.", "same:customer_id": "1"} | TERMS | more
    return client.post(f"/approvals/{row.approval_id}/approve", form)


@pytest.mark.django_db
def test_a_grant_is_given_read_and_revoked_without_a_script(acme: Acme, enter: Enter) -> None:
    row = a_request(acme)
    client = enter(acme.approver)
    assert 'name="grant"' in client.get(f"/approvals/{row.approval_id}/approve").content.decode()
    assert 'name="grant"' not in client.get(f"/approvals/{row.approval_id}/deny").content.decode()
    assert give(client, row).status_code == 302
    grant = Grant.objects.get()
    assert (grant.max_uses, grant.each, grant.total) == (10, 300, 1500)
    assert json.loads(grant.same) == {"customer_id": "cus_ABC123"}
    words = "up to $300.00 each and $1,500.00 in all, with customer_id"
    for address in (
        f"/approvals/{row.approval_id}",
        "/grants/",
        f"/grants/{grant.grant_id}",
        "/grants/?agent=support-bot",
    ):
        shown = client.get(address).content.decode()
        assert words in shown, address
    assert "Revoke" not in enter(acme.viewer).get(f"/grants/{grant.grant_id}").content.decode()
    assert enter(acme.viewer).post(f"/grants/{grant.grant_id}/revoke").status_code == 403
    assert enter(acme.stranger).get(f"/grants/{grant.grant_id}").status_code == 404
    assert enter(acme.stranger).post(f"/grants/{grant.grant_id}/revoke").status_code == 404
    assert enter(acme.approver, "test").get(f"/grants/{grant.grant_id}").status_code == 404
    client = enter(acme.colleague)
    assert "Revoke this grant?" in client.get(f"/grants/{grant.grant_id}/revoke").content.decode()
    shown = client.post(f"/grants/{grant.grant_id}/revoke", {"reason": "Enough."}, follow=True).content.decode()
    assert "Revoked. The next request of this kind waits for a person again." in shown
    assert "Enough." in shown
    grant.refresh_from_db()
    assert (grant.revoked_by_label, grant.revoked_because) == (acme.colleague.email, "Enough.")


@pytest.mark.django_db
def test_the_form_says_what_the_terms_would_allow(acme: Acme, enter: Enter) -> None:
    row = a_request(acme)
    client = enter(acme.approver)
    whole = strip_tags(client.get(f"/approvals/{row.approval_id}/approve").content.decode())
    assert "support-bot may do stripe.refund.large, up to $312.50 each and $312.50 in all, with customer_id" in whole
    told = f"/approvals/{row.approval_id}/grant-words"
    typed = {name: value for name, value in TERMS.items() if name != "grant"} | {"same:order": "1"}
    said = strip_tags(client.post(told, typed).content.decode())
    words = 'up to $300.00 each and $1,500.00 in all, with order "ord_1042", 10 times, within 2 hours.'
    assert words in unescape(said)
    for wrong, why in (({"grant_uses": "0"}, "from 1 to 1,000 uses"), ({"grant_each": "313"}, "at most the amount")):
        assert why in client.post(told, typed | wrong).content.decode()
    assert enter(acme.stranger).post(told, typed).status_code == 404
    assert (row.reviews.count(), Grant.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_where_one_person_is_enough_they_grant_nothing_that_their_own_agent_asks(acme: Acme, enter: Enter) -> None:
    Organization.objects.update(single_operator_since=database_now())
    row = a_request(acme)
    client = enter(acme.owner)
    assert 'name="grant"' not in client.get(f"/approvals/{row.approval_id}/approve").content.decode()
    refused = give(client, row)
    assert refused.status_code == 403
    assert "You have a part in what this agent asks" in refused.content.decode()
    row.refresh_from_db()
    assert (row.state, Grant.objects.count()) == ("pending", 0)
    assert client.post(f"/approvals/{row.approval_id}/approve", {"digest": row.digest}).status_code == 302
    assert give(enter(acme.approver), a_request(acme)).status_code == 302
    assert Grant.objects.count() == 1


@pytest.mark.django_db
def test_a_grant_of_somebody_who_could_not_approve_it_any_more_says_that_it_allows_nothing(
    acme: Acme, enter: Enter
) -> None:
    give(enter(acme.approver), a_request(acme))
    grant = Grant.objects.get()
    client = enter(acme.viewer)
    pages = ("/grants/", f"/grants/{grant.grant_id}")
    assert [client.get(page).content.decode().count("llows nothing") for page in pages] == [0, 0]
    Membership.objects.filter(user=acme.approver).update(role="auditor")
    assert [client.get(page).content.decode().count("llows nothing") for page in pages] == [1, 2]
    Membership.objects.filter(user=acme.approver).update(role="approver")
    acme.bot.owner_user, acme.bot.owner_team = None, factories.a_team(acme.organization, acme.approver)
    acme.bot.save(update_fields=["owner_user", "owner_team"])
    assert [client.get(page).content.decode().count("llows nothing") for page in pages] == [1, 2]


@pytest.mark.django_db
def test_a_grant_whose_sum_is_used_is_used_up(acme: Acme, enter: Enter) -> None:
    give(enter(acme.approver), a_request(acme))
    Grant.objects.update(used=1500, uses=5)
    assert "Used up" in enter(acme.viewer).get("/grants/").content.decode()


@pytest.mark.django_db
def test_the_page_of_an_agent_leads_to_its_grants_and_back(acme: Acme, enter: Enter) -> None:
    client = enter(acme.viewer)
    assert 'href="/grants/?agent=support-bot"' in client.get("/agents/support-bot/").content.decode()
    assert 'href="/agents/support-bot/"' in client.get("/grants/?agent=support-bot").content.decode()
    assert client.get("/grants/?agent=no such/agent").status_code == 200


@pytest.mark.django_db
def test_a_script_lists_and_revokes_grants(acme: Acme, enter: Enter, capsys: Any) -> None:
    def run(*arguments: str) -> Any:
        call_command(*arguments, "--organization", acme.organization.slug, "--json")
        return json.loads(capsys.readouterr().out)

    give(enter(acme.approver), a_request(acme))
    [shown] = run("list_grants", "--agent", "support-bot")
    assert (shown["state"], shown["uses"], shown["each"], shown["same"]) == (
        "active",
        0,
        "300.00",
        {"customer_id": "cus_ABC123"},
    )
    assert run("list_grants", "--mode", "test") == run("list_grants", "--agent", "other-bot") == []
    call_command("list_grants", "--organization", acme.organization.slug)
    assert "0 of 10 used  active until " in capsys.readouterr().out
    for grant, who, said in (
        ("grt_nothing", acme.admin, "There is no grant"),
        (shown["id"], acme.viewer, "Only those who decide"),
    ):
        with pytest.raises(CommandError, match=said):
            run("revoke_grant", grant, "--by", who.email)
    with pytest.raises(CommandError, match="There is no grant"):
        call_command("revoke_grant", shown["id"], "--organization", factories.an_organization().slug)
    ended = run("revoke_grant", shown["id"], "--reason", "Enough.")
    assert (ended["state"], ended["revoked_by"], ended["revoked_because"]) == ("revoked", "command line", "Enough.")
    event = Event.objects.get(kind="system:grant:revoke", target=shown["id"])
    assert event.data["reason"] == "Enough."
    assert run("list_grants") == []
    assert run("list_grants", "--all") == [ended]
    give(enter(acme.approver), a_request(acme))
    [second] = run("list_grants")
    assert run("revoke_grant", second["id"], "--by", acme.admin.email)["revoked_by"] == acme.admin.email


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong", [{"grant_each": "lots"}, {"grant_each": "400"}, {"grant_minutes": ""}, {"grant_uses": "0"}]
)
def test_terms_that_will_not_do_decide_nothing_and_are_kept(acme: Acme, enter: Enter, wrong: dict[str, str]) -> None:
    row = a_request(acme)
    answer = give(enter(acme.approver), row, **wrong)
    assert answer.status_code == 422
    assert 'value="1500"' in answer.content.decode()
    row.refresh_from_db()
    assert row.state == "pending"


@pytest.mark.django_db
def test_a_grant_is_not_offered_where_there_can_be_none(acme: Acme, enter: Enter) -> None:
    client = enter(acme.approver)
    for row in (a_request(acme, risk="critical"), factories.an_approval(agent=acme.bot)):
        assert 'name="grant"' not in client.get(f"/approvals/{row.approval_id}/approve").content.decode()
        assert give(client, row, typed=row.action).status_code in (403, 422)
    assert not Grant.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_a_grant_in_a_browser(server: Server, desk: Desk, scheme: str, viewport: dict[str, int]) -> None:
    acme = make_acme()
    row = a_request(acme)
    options = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
    page = desk(acme.approver, f"/approvals/{row.approval_id}", **options)
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#reason")).to_be_focused()
    page.locator("details.grant summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_label("Times").focus()
    with page.expect_response("**/grant-words"):
        page.locator("[name=grant]").dispatch_event("change")
    page.wait_for_timeout(100)
    page.keyboard.press("Control+a")
    page.keyboard.type("10")
    page.get_by_label("In all at most").fill("1500")
    page.get_by_label("order: ord_1042").uncheck()
    said = page.get_by_role("status", name="What it would allow")
    expect(page.locator("#reason")).to_have_value("")  # what came meanwhile took the focus from nobody
    expect(said).to_contain_text('up to $312.50 each and $1,500.00 in all, with customer_id "cus_ABC123", 10 times')
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    check_accessible(page)
    if scheme == "light":
        picture(page.locator("#decide"), "grant-terms")
    page.locator(".confirm").click()
    expect(page.get_by_text("Approved. The agent may go on.")).to_be_visible()
    grant = Grant.objects.get()
    assert (grant.max_uses, grant.total, json.loads(grant.same)) == (10, Decimal(1500), {"customer_id": "cus_ABC123"})
    bot = Actor("agent", str(row.key_id), acme.bot.slug)
    used = {"grant": grant.grant_id, "use": 1, "context": CONTEXT | {"order": "ord_1043"}}
    Grant.objects.filter(id=grant.id).update(uses=1, used=Decimal("312.5"))
    entry = Entry(
        "agent:grant:use", acme.organization.id, "live", bot, target=grant.grant_id, result="allow", data=used
    )
    with transaction.atomic():
        record_all([entry], at=database_now())
    for address in ("/grants/", f"/grants/{grant.grant_id}", f"/grants/{grant.grant_id}/revoke"):
        page = desk(acme.approver, address, **options)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        check_accessible(page)
        if scheme == "light" and address.endswith(grant.grant_id):
            picture(page, "grant")
