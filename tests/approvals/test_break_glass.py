"""Break-glass: one request outside its rule, never outside the policy, by who was given it; told and signed off."""

import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils.html import strip_tags

from accounts.by import COMMAND_LINE
from accounts.models import Membership, User
from accounts.rules import Refused as NotAllowed
from accounts.services import break_glass as capability
from accounts.services import members, organizations
from agents.models import Permission, Spending
from agents.services.permissions import change_permission
from approvals import rules, services
from approvals.glass import services as glass
from approvals.models import Approval, BreakGlass
from approvals.stops import services as stops
from approvals.tasks import expire
from audit.clock import database_now
from audit.ids import read_id
from audit.models import Event
from notifications.models import Announcement
from notifications.registry import topic_of
from tests import factories
from tests.approvals.conftest import Acme
from warden.api.endpoint import ENDPOINTS

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]
METHODS = "account_authentication_methods"
ACTION = "database.table.drop"


def member(acme: Acme, user: User) -> Membership:
    return Membership.objects.select_related("user", "organization").get(organization=acme.organization, user=user)


def give(acme: Acme, user: User) -> None:
    capability.allow(member=member(acme, user), by=COMMAND_LINE)


@pytest.fixture
def tier(acme: Acme) -> Permission:
    """The tier under which what follows is asked; the approver was given break-glass."""
    give(acme, acme.approver)
    return factories.a_permission(acme.bot, ACTION, "ask", risk="critical")


def asked(acme: Acme, tier: Permission, **fields: Any) -> Approval:
    """A request under that tier that two people would have to approve."""
    approval = factories.an_approval(agent=acme.bot, action=ACTION, risk="critical", rule={"approvals": 2}, **fields)
    permission = approval.permission.replace(approval.permission_data["id"], str(tier.pk))
    Approval.objects.filter(id=approval.id).update(permission=permission)
    return Approval.objects.get(id=approval.id)


def broken(acme: Acme, approval: Approval, by: User | None = None, **more: Any) -> Approval:
    given = {"digest": approval.digest, "reason": "The table leaks.", "typed": ACTION, "assurance": "stepup"}
    return glass.break_glass(
        approval_id=approval.id, by=by or acme.approver, organization=acme.organization, **given | more
    )


def refused(acme: Acme, approval: Approval, by: User | None = None, **more: Any) -> str:
    before = Approval.objects.get(id=approval.id).state
    with pytest.raises(rules.Refused) as error, transaction.atomic():
        broken(acme, approval, by, **more)
    assert not BreakGlass.objects.exists()
    assert Approval.objects.get(id=approval.id).state == before
    return error.value.code


def with_factor(client: Client, user: User, age: float = 0) -> Client:
    session = client.session
    session[METHODS] = [{"method": "mfa", "type": "totp", "at": time.time() - age, "reauthenticated": True}]
    session[f"{METHODS}_user"] = str(user.pk)
    session.save()
    return client


# The capability


def test_it_is_off_until_an_owner_gives_it(acme: Acme) -> None:
    approver = member(acme, acme.approver)
    assert not Membership.objects.filter(organization=acme.organization, breaks_glass=True).exists()
    for who in (acme.admin, acme.approver, acme.auditor):
        with pytest.raises(NotAllowed, match="does not include this"):
            capability.allow(member=approver, by=member(acme, who))
    capability.allow(member=approver, by=member(acme, acme.owner))
    assert member(acme, acme.approver).breaks_glass
    told = Event.objects.get(kind="person:member:glass")
    assert (told.actor, told.data["email"]) == (acme.owner.email, acme.approver.email)
    capability.withdraw(member=approver, by=member(acme, acme.owner))
    assert not member(acme, acme.approver).breaks_glass
    assert Event.objects.filter(kind="person:member:no_glass").count() == 1


def test_nobody_gives_it_to_themselves_while_there_is_another_owner(acme: Acme) -> None:
    owner = member(acme, acme.owner)
    other = factories.a_member(acme.organization, "owner")
    with pytest.raises(NotAllowed, match=f"There is {other.email}"):
        capability.allow(member=owner, by=owner)
    Membership.objects.filter(user=other).update(role="admin")
    capability.allow(member=owner, by=owner)
    assert member(acme, acme.owner).breaks_glass


def test_only_who_decides_can_have_it_and_loses_it_with_the_role(acme: Acme) -> None:
    with pytest.raises(NotAllowed, match="a role that decides first"):
        give(acme, acme.viewer)
    give(acme, acme.approver)
    members.change_role(member=member(acme, acme.approver), role="viewer", by=COMMAND_LINE)
    assert not member(acme, acme.approver).breaks_glass
    assert Event.objects.filter(kind="system:member:no_glass").count() == 1


def test_owners_give_it_on_the_members_page_and_by_command(acme: Acme, enter: Enter) -> None:
    page = f"/settings/members/{member(acme, acme.approver).pk}/"
    assert "Give break-glass" not in enter(acme.admin).get(page).content.decode()
    assert enter(acme.admin).post(f"{page}break-glass/", {"on": "1"}).status_code == 403
    client = enter(acme.owner)
    assert "Give break-glass" in client.get(page).content.decode()
    client.post(f"{page}break-glass/", {"on": "1"})
    assert member(acme, acme.approver).breaks_glass
    client.post(f"{page}break-glass/", {})
    assert not member(acme, acme.approver).breaks_glass
    out, slug = StringIO(), acme.organization.slug
    call_command("break_glass", "on", acme.approver.email, "--organization", slug, "--json", stdout=out)
    assert '"breaks_glass": true' in out.getvalue()
    assert member(acme, acme.approver).breaks_glass
    call_command("break_glass", "off", acme.approver.email, "--organization", slug, stdout=StringIO())
    assert not member(acme, acme.approver).breaks_glass
    with pytest.raises(CommandError, match="is not a member"):
        call_command("break_glass", "on", acme.stranger.email, "--organization", slug)


# Using it


def test_it_takes_the_capability_a_second_factor_a_reason_and_the_name(acme: Acme, tier: Permission) -> None:
    approval = asked(acme, tier)
    assert refused(acme, approval, acme.colleague) == "glass"
    assert refused(acme, approval, acme.admin) == "glass"
    for assurance in ("browser", "slack", ""):
        assert refused(acme, approval, assurance=assurance) == "assurance"
    assert refused(acme, approval, reason="  ") == "reason_required"
    assert refused(acme, approval, typed="database.table") == "confirmation"
    assert refused(acme, approval, digest="0" * 64) == "digest"
    Membership.objects.filter(user=acme.approver).update(role="viewer")  # by whatever way: the role decides too
    assert refused(acme, approval) == "glass"
    Membership.objects.filter(user=acme.approver).update(role="approver")
    allowed = broken(acme, approval)
    row = Approval.objects.get()
    assert (allowed.id, row.state, row.code, row.decided_by_label) == (
        approval.id,
        "approved",
        "break_glass",
        acme.approver.email,
    )
    assert row.claim_until is not None
    kept = BreakGlass.objects.get()
    assert (kept.digest, kept.reason, kept.assurance) == (approval.digest, "The table leaks.", "stepup")
    assert kept.due_at - kept.created_at == timedelta(hours=24)
    told = Event.objects.get(kind="person:approval:break_glass")
    assert (told.actor, told.target) == (acme.approver.email, approval.approval_id)
    assert told.data["was"] == "pending"
    with pytest.raises(rules.Conflict, match="already approved"):
        broken(acme, approval)


def test_who_has_a_part_in_it_cannot_even_where_one_person_is_enough(acme: Acme, tier: Permission) -> None:
    organizations.begin_single_operator(organization=acme.organization, by=COMMAND_LINE, typed=acme.organization.slug)
    acme.organization.refresh_from_db()
    give(acme, acme.owner)
    assert refused(acme, asked(acme, tier), acme.owner) == "chain"  # owns the agent
    assert refused(acme, asked(acme, tier, requesters=[acme.approver])) == "chain"
    assert refused(acme, asked(acme, tier, editors=[acme.approver.id])) == "chain"


def test_the_kill_switch_wins(acme: Acme, tier: Permission) -> None:
    approval = asked(acme, tier)
    stops.stop(organization=acme.organization, by=COMMAND_LINE, reason="odd")
    assert refused(acme, approval) == "paused"


def test_what_the_policy_denies_stays_denied(acme: Acme, tier: Permission) -> None:
    approval = asked(acme, tier)
    change_permission(permission=tier, by=COMMAND_LINE, effect="deny")
    assert refused(acme, approval) == "policy"
    tier.refresh_from_db()
    change_permission(permission=tier, by=COMMAND_LINE, effect="ask")
    factories.a_permission(acme.bot, "database.table.*", "deny")
    assert refused(acme, approval) == "policy"
    Permission.objects.filter(agent=acme.bot).delete()
    assert refused(acme, approval) == "policy"


@pytest.mark.parametrize("state", ["denied", "expired"])
def test_what_was_denied_stays_so_and_another_like_it_is_allowed(acme: Acme, tier: Permission, state: str) -> None:
    made = database_now() - timedelta(hours=2)
    approval = asked(acme, tier, now=made, state=state, decided_at=made + timedelta(hours=1), reason="No.")
    allowed = broken(acme, approval)
    approval.refresh_from_db()
    assert (approval.state, approval.reason, approval.code) == (state, "No.", "")
    assert (allowed.state, allowed.code, allowed.digest) == ("approved", "break_glass", approval.digest)
    assert allowed.requesters == approval.requesters
    kept = BreakGlass.objects.get()
    assert (kept.approval_id, kept.instead_of_id) == (allowed.id, approval.id)
    with pytest.raises(rules.Conflict, match="asked exactly that again"):  # once: it can be taken now
        broken(acme, approval)


def test_what_was_asked_again_is_not_allowed_beside_it(acme: Acme, tier: Permission) -> None:
    """Of what was changed before it was denied, the agent may ask both anew: as it was, and as it became (I4)."""
    ended: dict[str, Any] = {"state": "denied", "decided_at": database_now(), "reason": "No."}
    changed = asked(acme, tier, asked="a" * 64, asked_context="{}", **ended)
    as_it_was = asked(acme, tier)
    Approval.objects.filter(id=as_it_was.id).update(digest="a" * 64)
    assert refused(acme, changed) == "asked_again"
    Approval.objects.filter(id=as_it_was.id).update(digest="b" * 64, asked=changed.digest, asked_context="{}")
    assert refused(acme, changed) == "asked_again"
    Approval.objects.filter(id=as_it_was.id).update(asked="c" * 64)
    assert broken(acme, changed).asked == "a" * 64


def test_what_is_overdue_and_not_swept_yet_expires_first(acme: Acme, tier: Permission) -> None:
    approval = asked(acme, tier, now=database_now() - timedelta(hours=2), minutes=60)
    allowed = broken(acme, approval)
    approval.refresh_from_db()
    assert (approval.state, allowed.state) == ("expired", "approved")
    assert allowed.id != approval.id
    assert Event.objects.filter(kind="system:approval:expired", target=approval.approval_id).exists()


def test_what_ended_long_ago_or_was_given_up_is_over(acme: Acme, tier: Permission) -> None:
    made = database_now() - timedelta(hours=30)
    old = asked(acme, tier, now=made, state="denied", decided_at=made + timedelta(hours=1))
    assert refused(acme, old) == "ended"
    gone = asked(acme, tier, state="cancelled", decided_at=database_now())
    assert refused(acme, gone) == "cancelled"


def test_a_budget_is_taken_anew_or_refuses(acme: Acme, tier: Permission) -> None:
    change_permission(permission=tier, by=COMMAND_LINE, limits={"count_per_month": 1})
    first = asked(acme, tier, state="denied", decided_at=database_now())
    second = asked(acme, tier, state="denied", decided_at=database_now())
    allowed = broken(acme, first)
    counter = Spending.objects.get()
    assert (counter.value, allowed.reserved) == (1, [counter.pk])
    with pytest.raises(rules.Conflict, match="never around a budget"):
        broken(acme, second)
    assert BreakGlass.objects.count() == 1


def test_another_organizations_and_another_modes_are_not_there(acme: Acme, tier: Permission, enter: Enter) -> None:
    foreign = factories.an_approval(agent=factories.an_agent(factories.an_organization()))
    with pytest.raises(Approval.DoesNotExist):
        broken(acme, foreign)
    test = asked(acme, tier, mode="test")
    client = with_factor(enter(acme.approver), acme.approver)
    for each in (foreign, test):
        assert client.get(f"/approvals/{each.approval_id}/break-glass").status_code == 404


def test_the_database_keeps_no_broken_glass_without_a_reason_or_a_factor(acme: Acme, tier: Permission) -> None:
    broken(acme, asked(acme, tier))
    for fields in ({"reason": ""}, {"assurance": "browser"}, {"signed_at": database_now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            BreakGlass.objects.update(**fields)


# In the browser


def test_two_steps_in_the_browser(acme: Acme, tier: Permission, enter: Enter) -> None:
    approval = asked(acme, tier)
    page, address = f"/approvals/{approval.approval_id}", f"/approvals/{approval.approval_id}/break-glass"
    assert "break-glass" not in enter(acme.colleague).get(page).content.decode()
    assert enter(acme.colleague).get(address).status_code == 403
    client = enter(acme.approver)
    assert address in client.get(page).content.decode()
    answer = client.get(address)  # no second factor yet
    assert (answer.status_code, "Add a second factor" in answer.content.decode()) == (403, True)
    with_factor(client, acme.approver)
    first = client.get(address).content.decode()
    assert "The first of two steps" in first
    assert approval.digest in first
    sent = {"digest": approval.digest, "reason": "The table leaks."}
    assert client.post(address, {"digest": approval.digest, "sure": "1", "typed": ACTION}).status_code == 422
    second = client.post(address, sent).content.decode()
    assert "The second of two steps" in second
    assert not BreakGlass.objects.exists()
    assert client.post(address, sent | {"sure": "1", "typed": "wrong"}).status_code == 422
    assert client.post(address, sent | {"sure": "1", "typed": ACTION}).status_code == 302
    shown = client.get(page).content.decode()
    assert "Break-glass: allowed outside its rule" in shown
    assert "The table leaks." in shown
    assert "outside its rule" in enter(acme.viewer).get("/inbox/?view=decided").content.decode()


def test_a_factor_of_yesterday_is_none(acme: Acme, tier: Permission, enter: Enter) -> None:
    approval = asked(acme, tier)
    client = with_factor(enter(acme.approver), acme.approver, age=86_400)
    sent = {"digest": approval.digest, "reason": "x", "sure": "1", "typed": ACTION}
    assert client.post(f"/approvals/{approval.approval_id}/break-glass", sent).status_code == 403
    assert Approval.objects.get().state == "pending"


def test_no_script_and_no_agent_has_a_way_to_it() -> None:
    """Of all addresses of /api none breaks the glass: they list, sign off, and say who may."""
    assert {(each.method, each.path) for each in ENDPOINTS if "break-glass" in each.path} == {
        ("GET", "break-glass"),
        ("POST", "break-glass/{glass_id}/sign"),
        ("POST", "members/{member_id}/break-glass"),
        ("DELETE", "members/{member_id}/break-glass"),
    }


# What follows


def test_every_owner_is_owed_the_news_in_the_same_transaction(acme: Acme, tier: Permission) -> None:
    second = factories.a_member(acme.organization, "owner")
    approval = asked(acme, tier)
    with transaction.atomic():
        broken(acme, approval)
        transaction.set_rollback(True)
    assert not Announcement.objects.filter(event="glass.broken").exists()
    broken(acme, approval)
    news = Announcement.objects.get(event="glass.broken")
    topic = topic_of(news.event)
    assert topic is not None
    facts = topic.facts(news)
    assert facts is not None
    assert {each.user for each in facts.people} == {acme.owner, second}
    assert (facts.is_urgent, facts.is_past) == (True, False)
    mail = topic.mail(news, acme.owner)
    assert mail.subject.startswith(f"Break-glass: {acme.approver.email} allowed support-bot to ")
    assert "The table leaks." in mail.text
    assert topic.webhook(news)["approval_id"] == approval.approval_id


def test_another_owner_signs_it_off_once(acme: Acme, tier: Permission, enter: Enter) -> None:
    allowed = broken(acme, asked(acme, tier))
    row = BreakGlass.objects.get()
    address = f"/settings/break-glass/{row.glass_id}/"
    sent = {"verdict": "justified", "note": "It leaked indeed."}
    assert enter(acme.admin).get(address).status_code == 200
    assert enter(acme.admin).post(address, sent).status_code == 403
    assert enter(acme.approver).get(address).status_code == 403
    client = enter(acme.owner)
    assert row.glass_id in client.get("/settings/break-glass/").content.decode()
    assert client.post(address, {"verdict": "justified", "note": " "}).status_code == 422
    assert client.post(address, {"note": "Fine."}).status_code == 422
    assert client.post(address, sent).status_code == 302
    row.refresh_from_db()
    assert (row.verdict, row.signed_by, row.note) == ("justified", acme.owner, "It leaked indeed.")
    told = Event.objects.get(kind="person:glass:justified")
    assert (told.target, told.data["approval"]) == (row.glass_id, allowed.approval_id)
    with pytest.raises(NotAllowed, match="signed off already"):
        glass.sign(broken=row, by=member(acme, acme.owner), justified=False, note="No.")
    assert "Found justified" in client.get(f"/approvals/{allowed.approval_id}").content.decode()


def test_an_owner_does_not_sign_off_their_own_unless_alone(acme: Acme, tier: Permission) -> None:
    second = factories.a_member(acme.organization, "owner")
    give(acme, second)
    broken(acme, asked(acme, tier), second)
    row, own = BreakGlass.objects.select_related("organization").get(), member(acme, second)
    with pytest.raises(NotAllowed, match=f"There is {acme.owner.email}"):
        glass.sign(broken=row, by=own, justified=True, note="Mine.", typed=acme.organization.slug)
    Membership.objects.filter(user=acme.owner).update(role="admin")
    with pytest.raises(NotAllowed, match=f"type {acme.organization.slug}"):
        glass.sign(broken=row, by=own, justified=True, note="Mine.")
    assert glass.sign(broken=row, by=own, justified=True, note="Mine.", typed=acme.organization.slug).signed_at


def test_owners_see_on_every_page_what_is_to_be_signed_off(acme: Acme, tier: Permission, enter: Enter) -> None:
    broken(acme, asked(acme, tier))
    row = BreakGlass.objects.select_related("organization").get()
    link = f"/settings/break-glass/{row.glass_id}/"
    for page in ("/inbox/", "/agents/", "/settings/"):
        assert link in enter(acme.owner).get(page).content.decode(), page
        assert link not in enter(acme.admin).get(page).content.decode(), page
    assert "due in 23 h" in strip_tags(enter(acme.owner).get("/inbox/").content.decode())
    BreakGlass.objects.update(due_at=database_now() - timedelta(hours=2, minutes=1))
    assert "due 2 h ago" in strip_tags(enter(acme.owner).get("/inbox/").content.decode())
    assert link not in enter(acme.owner, "test").get("/inbox/").content.decode()
    assert link not in enter(acme.stranger).get("/inbox/").content.decode()
    glass.sign(broken=row, by=member(acme, acme.owner), justified=True, note="Fine.")
    assert link not in enter(acme.owner).get("/inbox/").content.decode()


def test_what_nobody_signs_off_is_told_again_each_day(acme: Acme, tier: Permission, enter: Enter) -> None:
    broken(acme, asked(acme, tier))
    expire()
    assert not Announcement.objects.filter(event="glass.overdue").exists()
    late = database_now() - timedelta(minutes=1)
    BreakGlass.objects.update(due_at=late, remind_at=late)
    for _ in range(2):
        expire()
    assert Announcement.objects.filter(event="glass.overdue").count() == 1
    assert Event.objects.filter(kind="system:glass:overdue").count() == 1
    assert "Overdue" in enter(acme.owner).get("/settings/break-glass/").content.decode()
    BreakGlass.objects.update(remind_at=late)
    expire()
    assert Announcement.objects.filter(event="glass.overdue").count() == 2
    news = Announcement.objects.filter(event="glass.overdue").first()
    assert news is not None
    row = BreakGlass.objects.select_related("organization").get()
    glass.sign(broken=row, by=member(acme, acme.owner), justified=True, note="Late, and fine.")
    BreakGlass.objects.update(remind_at=late)
    expire()
    assert Announcement.objects.filter(event="glass.overdue").count() == 2
    topic = topic_of(news.event)
    assert topic is not None
    facts = topic.facts(news)
    assert facts is not None
    assert facts.is_past  # a mail that is still owed asks nobody for what is done


def test_it_is_one_of_two_outcomes_where_somebody_votes_at_the_same_time(acme: Acme, tier: Permission) -> None:
    approval = asked(acme, tier)
    services.review(
        approval_id=approval.id,
        by=acme.colleague,
        organization=acme.organization,
        verdict="deny",
        reason="No.",
        digest=approval.digest,
        via="browser",
    )
    assert Approval.objects.get().state == "denied"
    allowed = broken(acme, approval)  # what they saw has ended meanwhile: another like it
    assert allowed.id != approval.id
    assert read_id("brk", BreakGlass.objects.get().glass_id)


def test_nothing_is_to_be_signed_off_is_said(acme: Acme, enter: Enter) -> None:
    page = enter(acme.owner).get("/settings/break-glass/").content.decode()
    assert "Nothing is to be signed off" in page
    assert "Nobody: it is off." in page


def test_what_is_kept_covered_is_decided_by_its_rule_only(acme: Acme, tier: Permission) -> None:
    assert refused(acme, asked(acme, tier, context={"iban": {"$warden": ["withheld", "key", "hmac"]}})) == "covered"
