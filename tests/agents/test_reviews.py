"""The quarterly review: what it finds, going through it, signing, its record, its reminders."""

import io
import json
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse
from pypdf import PdfReader

from accounts.by import COMMAND_LINE
from accounts.models import Organization
from accounts.rules import Refused
from agents.models import Agent, ApiKey, Permission, PermissionReview, ReviewReminder
from agents.review import review
from agents.review_record import pdf
from agents.services.errors import Conflict
from agents.services.keys import create_key
from agents.services.permissions import change_permission, create_permission
from agents.services.reviews import decide_item, sign_review, start_review
from audit.clock import database_now
from audit.leaf import Actor, Entry
from audit.models import Event
from audit.record import record_all
from notifications.delivery import fan_out
from notifications.models import Announcement, Delivery
from notifications.reviews.clock import next_reminder, remind_due
from tests.factories import an_agent, an_approval
from warden.management.commands import seed_demo

LONG_AGO = timedelta(days=100)


def asked(agent, action, outcome="allow", tier=None, *, code="allowed", context=None, days=1, environment=""):
    entry = Entry(
        kind=f"agent:check:{outcome}",
        organization_id=agent.organization_id,
        mode="live",
        actor=Actor("agent", "", agent.slug),
        agent=agent.slug,
        action=action,
        result=outcome,
        data={
            "permission": (tier or action) if outcome != "deny" else None,
            "code": code,
            "context": context or {},
            "environment": environment,
        },
    )
    with transaction.atomic():
        record_all([entry], at=database_now() - timedelta(days=days))


def refused(agent, action, times=3, code="no_permission", **said):
    for _ in range(times):
        asked(agent, action, "deny", code=code, **said)


def codes(organization, agent=None):
    return sorted(
        (each.agent.slug if each.agent else "", each.code, each.permission.action if each.permission else "")
        for each in review(organization, agent)
    )


@pytest.fixture
def demo(db, settings, tmp_path) -> Organization:
    """The demonstration as it is after three months in which every tier was used and every agent audited."""
    settings.WARDEN_HOME = tmp_path
    organization = seed_demo.seed("correct horse battery staple")
    Permission.objects.update(created_at=database_now() - LONG_AGO)
    Agent.objects.update(created_at=database_now() - LONG_AGO, last_audited_at=database_now() - timedelta(days=10))
    for tier in Permission.objects.select_related("agent"):
        asked(tier.agent, tier.action)
    return organization


def test_the_demonstration_needs_no_attention(demo):
    assert codes(demo) == []


def test_each_planted_problem_is_found_and_nothing_else(demo):
    support = Agent.objects.get(slug="customer-support-bot")
    data = Agent.objects.get(slug="data-processing-bot")
    by = COMMAND_LINE

    def old_tier(agent, action, effect="allow", **fields):
        row = create_permission(agent=agent, by=by, action=action, effect=effect, **fields)
        Permission.objects.filter(pk=row.pk).update(created_at=database_now() - LONG_AGO)

    old_tier(support, "email.draft")  # never used
    old_tier(support, "crm.read")
    asked(support, "crm.read", days=95)  # not any more
    old_tier(support, "files.*", "ask")  # too broad
    old_tier(support, "stripe.refund.tiny", max_amount=Decimal(50), currency="USD")  # overlaps .small
    old_tier(data, "s3.delete", "deny")
    old_tier(data, "s3.delete")  # never grants anything
    refused(data, "api.post", context={"amount": 20, "currency": "EUR"}, environment="staging")  # wanted
    refused(data, "api.put", times=2)  # somebody tried
    refused(data, "s3.delete", code="denied_by_permission")  # meant so
    old, _ = create_key(organization=demo, by=by, mode="live", name="old", agent=support)
    ApiKey.objects.filter(pk=old.pk).update(created_at=database_now() - LONG_AGO, last_used_at=database_now())
    idle, _ = create_key(organization=demo, by=by, mode="live", name="idle", agent=support)
    ApiKey.objects.filter(pk=idle.pk).update(created_at=database_now() - timedelta(days=30))
    create_key(organization=demo, by=by, mode="live", name="new", agent=support)
    an_agent(demo, "nameless", spiffe_id="spiffe://example.com/agent")
    Agent.objects.filter(slug="devops-bot").update(last_audited_at=database_now() - LONG_AGO)
    assert codes(demo) == [
        ("customer-support-bot", "never_used", "email.draft"),
        ("customer-support-bot", "old_key", ""),
        ("customer-support-bot", "overlap", "stripe.refund.tiny"),
        ("customer-support-bot", "unused", "crm.read"),
        ("customer-support-bot", "unused_key", ""),
        ("customer-support-bot", "whole_service", "files.*"),
        ("customer-support-bot", "wildcard", "files.*"),
        ("data-processing-bot", "denied_but_wanted", ""),
        ("data-processing-bot", "overlap", "s3.delete"),
        ("devops-bot", "not_audited", ""),
        ("nameless", "generic_identity", ""),
        ("nameless", "no_notes", ""),
        ("nameless", "no_owner", ""),
        ("nameless", "no_purpose", ""),
    ]
    [wanted] = [each for each in review(demo) if each.suggestion]
    assert wanted.suggestion == {
        "action": "api.post",
        "effect": "ask",
        "max_amount": "20.00",
        "currency": "EUR",
        "environment": "staging",
    }


def test_what_is_wanted_above_a_ladder_is_a_tier_of_it_and_nothing_that_replaces_it(demo):
    support = Agent.objects.get(slug="customer-support-bot")
    for amount in (1500, 2500, 1200):
        refused(support, "stripe.refund", times=1, code="amount_exceeded", context={"amount": amount})
    [wanted] = [each for each in review(demo) if each.suggestion]
    assert (wanted.suggestion["action"], wanted.suggestion["max_amount"]) == ("stripe.refund.larger", "2500.00")


def test_what_is_permitted_by_now_is_not_wanted_any_more(demo):
    data = Agent.objects.get(slug="data-processing-bot")
    refused(data, "api.post")
    create_permission(agent=data, by=COMMAND_LINE, action="api.post", effect="ask")
    assert codes(demo) == []


def test_the_command_prints_the_same_and_can_fail(demo, capsys):
    refused(Agent.objects.get(slug="data-processing-bot"), "api.post")
    call_command("audit_permissions", "--json")
    [row] = json.loads(capsys.readouterr().out)
    assert (row["code"], row["agent"], row["suggestion"]["action"]) == (
        "denied_but_wanted",
        "data-processing-bot",
        "api.post",
    )
    call_command("audit_permissions", "--agent", "devops-bot", "--check")
    with pytest.raises(CommandError, match=r"api\.post"):
        call_command("audit_permissions", "--check")


# Going through one


@pytest.fixture
def tiers(bot, people):
    for action, effect in (("email.send", "allow"), ("email.*", "ask"), ("crm.read", "allow")):
        create_permission(agent=bot, by=people.owner, action=action, effect=effect)


def by_words(found: PermissionReview) -> dict[str, object]:
    return {item.words: item for item in found.items.all()}


def test_an_admin_goes_through_an_agent_and_signs(acme, bot, people, tiers, enter):
    admin = enter(people.admin)
    response = admin.post(reverse("agents:review_start", args=[bot.slug]), follow=True)
    page = response.request["PATH_INFO"]
    found = PermissionReview.objects.get(agent=bot)
    items = by_words(found)
    wide = items["everything under email needs approval"]

    def decide(item, verdict, reason=""):
        return admin.post(
            reverse("agents:review_decide", args=[found.review_id, item.pk]), {"verdict": verdict, "reason": reason}
        )

    assert decide(items["crm.read passes"], "keep").status_code == 302
    answer = decide(wide, "keep")
    assert (answer.status_code, "Say why" in answer.content.decode()) == (422, True)
    assert "2 of 3 to decide" in admin.get(page).content.decode()
    assert decide(items["email.send passes"], "remove", "Not needed").status_code == 302
    assert not Permission.objects.filter(action="email.send").exists()
    narrowing = decide(wide, "narrow", "Only drafts")
    tier = bot.permissions.get(action="email.*")
    assert narrowing.url == reverse("agents:tier", args=[bot.slug, tier.pk])

    sign = reverse("agents:review_sign", args=[found.review_id])
    refused_once = admin.post(sign, {"notes": "Kept in hand"})
    assert refused_once.status_code == 409
    assert "was to be narrowed" in refused_once.content.decode()
    assert "Kept in hand" in refused_once.content.decode()
    change_permission(permission=tier, by=people.admin, action="email.draft")
    assert admin.post(sign, {"notes": "Fine"}).status_code == 302
    found.refresh_from_db()
    bot.refresh_from_db()
    assert (bot.last_audited_by, bot.last_audited_at) == (people.admin, found.signed_at)
    assert [item["verdict"] for item in found.record["items"]] == ["keep", "narrow", "remove"]
    assert found.record["items"][1]["became"] == "email.draft needs approval"
    assert found.record["tiers"] == ["crm.read passes", "email.draft needs approval"]
    kinds = list(Event.objects.filter(kind__startswith="person:permission_review").values_list("kind", flat=True))
    assert sorted(kind.rpartition(":")[2] for kind in kinds) == ["keep", "narrow", "remove", "sign", "start"]

    text = admin.get(reverse("agents:review_record", args=[found.review_id, "md"]))
    assert "**Narrowed:** everything under email needs approval" in text.content.decode()
    document = admin.get(reverse("agents:review_record", args=[found.review_id, "pdf"]))
    assert document["Content-Type"] == "application/pdf"
    assert document.content.startswith(b"%PDF-")
    assert b"%%EOF" in document.content[-10:]
    assert Event.objects.filter(kind="person:agent:audit", actor=people.admin.email).count() == 1


def test_the_pdf_reads_as_what_was_signed_in_every_script_that_its_font_has(bot, people, tiers):
    names = ["Zażółć gęślą", "Ωμέγα", "Привет", "Հայերեն", "“ok” → ≥ 3", "שלום", "مرحبا"]
    found = start_review(agent=bot, by=people.admin)
    for item in found.items.all():
        decide_item(item=item, by=people.admin, verdict="keep", reason=" / ".join(names))
    signed = sign_review(review=found, by=people.admin, notes="Read by 中 and \u202eevil")
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf(signed.record))).pages)
    text = unicodedata.normalize("NFKC", " ".join(text.split()))
    assert [name for name in names if name not in text] == []
    assert "Read by <U+4E2D> and <U+202E>evil" in text


def test_others_may_look_and_strangers_see_nothing(bot, people, tiers, enter):
    found = start_review(agent=bot, by=people.admin)
    page = reverse("agents:review", args=[found.review_id])
    viewer = enter(people.viewer)
    assert "Sign off" not in viewer.get(page).content.decode()
    item = found.items.first()
    assert viewer.post(reverse("agents:review_decide", args=[found.review_id, item.pk])).status_code == 403
    assert viewer.post(reverse("agents:review_sign", args=[found.review_id])).status_code == 403
    stranger = enter(people.stranger)
    for address in (page, reverse("agents:review_record", args=[found.review_id, "md"])):
        assert stranger.get(address).status_code == 404
    for name, arguments in (("review_decide", [item.pk]), ("review_sign", [])):
        assert stranger.post(reverse(f"agents:{name}", args=[found.review_id, *arguments])).status_code == 404


def test_a_review_is_a_persons(bot):
    with pytest.raises(Refused, match="person"):
        start_review(agent=bot, by=COMMAND_LINE)


def test_two_who_begin_at_once_share_one_review(bot, people, tiers):
    assert start_review(agent=bot, by=people.admin).pk == start_review(agent=bot, by=people.owner).pk
    assert Event.objects.filter(kind="person:permission_review:start").count() == 1


def test_what_came_or_changed_since_somebody_looked_cannot_be_signed_unseen(bot, people):
    kept = create_permission(agent=bot, by=people.owner, action="crm.read", effect="allow")
    found = start_review(agent=bot, by=people.admin)
    decide_item(item=found.items.get(), by=people.admin, verdict="keep")
    change_permission(permission=kept, by=people.owner, action="crm.*")
    with pytest.raises(Refused, match="came or changed"):
        sign_review(review=found, by=people.admin)
    # The refusal was rolled back with everything else: the page that shows it looks again.
    found = start_review(agent=bot, by=people.admin)
    item = found.items.get()
    assert (item.verdict, item.words) == ("", "everything under crm passes")
    decide_item(item=item, by=people.admin, verdict="keep", reason="All of it, for the migration")
    sign_review(review=found, by=people.admin)
    with pytest.raises(Conflict, match="signed"):
        decide_item(item=item, by=people.admin, verdict="keep", reason="again")


def test_a_tier_that_somebody_changed_is_not_removed_as_what_it_was(bot, people):
    tier = create_permission(agent=bot, by=people.owner, action="crm.read", effect="allow")
    item = start_review(agent=bot, by=people.admin).items.get()
    change_permission(permission=tier, by=people.owner, effect="ask")
    with pytest.raises(Conflict):
        decide_item(item=item, by=people.admin, verdict="remove", reason="Too much")
    assert Permission.objects.filter(pk=tier.pk).exists()


def test_removing_a_key_revokes_it_and_only_what_makes_sense_can_be_decided(acme, bot, people):
    key, _ = create_key(organization=acme, by=people.owner, mode="live", name="worker", agent=bot)
    item = start_review(agent=bot, by=people.admin).items.get(subject="key")
    with pytest.raises(ValidationError, match="keep, remove"):
        decide_item(item=item, by=people.admin, verdict="narrow", reason="x")
    decide_item(item=item, by=people.admin, verdict="remove", reason="Nobody knows it")
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_the_record_keeps_its_words_when_the_agent_is_gone(bot, people, tiers, enter):
    found = start_review(agent=bot, by=people.admin)
    for item in found.items.all():
        decide_item(item=item, by=people.admin, verdict="keep", reason="| *fine* \u202e")
    sign_review(review=found, by=people.admin)
    enter(people.admin).post(reverse("agents:delete", args=[bot.slug]), {"token": ""})
    bot.permissions.all().delete()
    text = enter(people.auditor).get(reverse("agents:review_record", args=[found.review_id, "md"])).content.decode()
    assert "\\| \\*fine\\* \\<U+202E\\>" in text
    assert "crm.read passes" in text


# Reminders


def test_when_people_are_reminded():
    due = datetime(2026, 4, 1, 9, tzinfo=UTC)
    first, second = next_reminder(due, None), next_reminder(due, due - timedelta(days=14))
    assert (first, second) == (due - timedelta(days=14), due)
    assert next_reminder(due, due + timedelta(hours=1)) == due + timedelta(days=7, hours=1)
    assert next_reminder(due, due - timedelta(days=90)) == first


def test_a_review_that_is_due_is_told_once_to_who_can_do_it(acme, bot, people):
    assert remind_due() == 0
    Agent.objects.filter(pk=bot.pk).update(created_at=database_now() - LONG_AGO)
    assert (remind_due(), remind_due()) == (1, 0)
    assert Announcement.objects.get().event == "review.due"
    fan_out()
    [mail] = Delivery.objects.all()
    assert mail.address == people.owner.email  # who owns it; without an owner, everybody who may change it
    assert mail.subject == "Review is overdue: support-bot"
    ReviewReminder.objects.update(sent_at=database_now() - timedelta(days=8))
    Agent.objects.filter(pk=bot.pk).update(owner_user=None)
    assert remind_due() == 1
    fan_out()
    assert set(Delivery.objects.values_list("address", flat=True)) == {people.owner.email, people.admin.email}


def test_a_signed_review_ends_the_reminders(acme, bot, people):
    Agent.objects.filter(pk=bot.pk).update(created_at=database_now() - LONG_AGO)
    found = start_review(agent=bot, by=people.admin)
    sign_review(review=found, by=people.admin)
    assert remind_due() == 0


# The agent's page


def test_the_agents_page_documents_it_as_people_would(acme, bot, people, tiers, enter):
    page = reverse("agents:about", args=[bot.slug])
    empty = enter(people.viewer).get(page).content.decode()
    assert "None in the last 30 days" in empty
    assert "Nobody decided anything" in empty
    Agent.objects.filter(pk=bot.pk).update(created_at=database_now() - timedelta(days=10))
    for number in range(20):
        asked(bot, "email.send", days=number % 9)
    approval = an_approval(agent=bot)
    for kind, minutes in (("agent:check:ask", 30), ("person:approval:approved", 15)):
        entry = Entry(kind, acme.pk, "live", Actor("person", "", "ann"), bot.slug, target=approval.approval_id)
        with transaction.atomic():
            record_all([entry], at=database_now() - timedelta(minutes=minutes))
    text = enter(people.viewer).get(page).content.decode()
    for words in (
        "Answers customers",
        people.owner.email,
        "Large refunds go to finance.",
        "everything under email needs approval",
        "Everything else is denied",
        "about 2",
        "15 min",
        "over 1 decision",
    ):
        assert words in text, words
    assert "next in" in text
