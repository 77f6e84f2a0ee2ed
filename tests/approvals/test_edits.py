"""Changing what is asked before it is approved: which fields, by whom, what the policy says, what becomes of votes."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from agents.models import Agent, Permission
from approvals import editing, edits, rules, services
from approvals.digest import digest
from approvals.models import Approval, Edit, Review
from approvals.rule import Rule
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]
RULE = {"edits_allowed": True, "edit_fields": ["amount", "customer_id", "urgent", "note", "currency", "lines"]}
CONTEXT = {
    "amount": 500,
    "customer_id": "cus_1",
    "urgent": True,
    "note": "",
    "currency": "USD",
    "lines": [1],
    "by": "x",
}
_numbers = itertools.count(1)


def a_request(bot: Agent, *, rule: dict[str, Any] | None = None, context: Any = None, **more: Any) -> Approval:
    """A request of a tier that is there, so that the policy has something to say of it."""
    rules_row = factories.a_rule(bot.organization, **(RULE | (rule or {})))
    tier, _ = Permission.objects.get_or_create(
        agent=bot,
        action="stripe.refund.large",
        defaults={"effect": "ask", "max_amount": 1000, "approval_rule": rules_row},
    )
    asked = {**CONTEXT, "order": next(_numbers)} if context is None else context
    row = factories.an_approval(agent=bot, action="stripe.refund", context=asked, **more)
    permission = json.loads(row.permission) | {"id": str(tier.id), "action": tier.action}
    row.rule = tier.approval_rule.snapshot() if tier.approval_rule else row.rule
    row.permission = json.dumps(permission)
    row.amount, row.currency = asked["amount"], asked.get("currency", "")
    row.digest = digest_of(row)
    row.save(update_fields=["rule", "permission", "digest", "amount", "currency"])
    return row


def digest_of(row: Approval) -> str:
    return digest(
        organization_id=row.organization_id,
        mode=row.mode,
        agent_id=row.agent_id,
        action=row.action,
        callee=row.callee,
        environment=row.environment,
        context=json.loads(row.context),
        permission_id=str(json.loads(row.permission)["id"]),
    )


def change(row: Approval, by: User, reason: str = "Half of it.", **values: Any) -> Approval:
    given = {"digest": values.pop("digest", row.digest), "via": values.pop("via", "browser")}
    return edits.edit(approval_id=row.id, by=by, organization=row.organization, values=values, reason=reason, **given)


def vote(row: Approval, by: User, verdict: rules.Verdict = "approve", digest: str = "") -> Approval:
    return services.review(
        approval_id=row.id,
        by=by,
        organization=row.organization,
        verdict=verdict,
        reason="Fine.",
        digest=digest or row.digest,
        via="browser",
    )


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "edit_nothing"),
        ({"amount": 500.0}, "edit_nothing"),
        ({"amount": 501}, "edit_up"),
        ({"amount": "400"}, "edit_field"),
        ({"amount": -1}, "edit_field"),
        ({"amount": True}, "edit_field"),
        ({"urgent": 1}, "edit_field"),
        ({"customer_id": "a\0"}, "edit_field"),
        ({"customer_id": "x" * 2_001}, "edit_field"),
        ({"currency": "JPY"}, "edits"),
        ({"lines": [2]}, "edits"),
        ({"by": "y"}, "edits"),
        ({"new": "y"}, "edits"),
    ],
)
def test_only_named_fields_change_and_keep_their_kind_and_amounts_go_down(values: dict[str, Any], code: str) -> None:
    rule = Rule(editable=frozenset(RULE["edit_fields"]))  # type: ignore[arg-type]
    with pytest.raises(rules.Refused) as refused:
        editing.changes(rule, CONTEXT, values)
    assert refused.value.code == code
    with pytest.raises(rules.Refused) as refused:
        editing.changes(Rule(), CONTEXT, {"amount": 1})
    assert refused.value.code == "edits"


@pytest.mark.parametrize(
    ("value", "typed", "read"),
    [
        (500, "250", 250),
        (500, "250.50", 250.5),
        (500, "1e2", 100),
        ("500", "250", "250"),
        (True, "", False),
        (1.5, " 2 ", 2),
    ],
)
def test_what_is_typed_is_read_as_the_kind_that_was_asked(value: Any, typed: str, read: Any) -> None:
    assert editing.read(value, typed) == read
    assert type(editing.read(value, typed)) is type(read)


@pytest.mark.parametrize("typed", ["", "many", "NaN", "Infinity", "0.12345678901234567890"])
def test_what_is_no_number_of_json_is_refused(typed: str) -> None:
    with pytest.raises(rules.Incomplete):
        editing.read(500, typed)


def test_an_approver_lowers_an_amount_and_somebody_else_approves_exactly_that(acme: Acme) -> None:
    row = a_request(acme.bot)
    before, context = row.digest, row.context
    row = change(row, acme.approver, amount=250, customer_id="cus_2")
    assert (row.amount, row.asked, row.asked_context, row.editors) == (250, before, context, [acme.approver.id])
    assert row.digest == digest_of(row) != before
    assert json.loads(row.context) == json.loads(context) | {"amount": 250, "customer_id": "cus_2"}
    kept = Edit.objects.get()
    assert (kept.digest_before, kept.digest_after, kept.context_before) == (before, row.digest, context)
    assert kept.changes == [["amount", 500, 250], ["customer_id", "cus_1", "cus_2"]]
    event = Event.objects.get(kind="person:approval:edit")
    assert (event.data["was"], event.data["digest"]) == (before, row.digest)
    assert Announcement.objects.filter(event="approval.edited", target=row.approval_id).count() == 1
    with pytest.raises(rules.Refused) as refused:
        vote(row, acme.approver)
    assert refused.value.code == "editor"
    with pytest.raises(rules.Conflict):  # she was shown what was asked, not what is decided
        vote(row, acme.colleague, digest=before)
    assert vote(row, acme.colleague).state == "approved"


def test_earlier_votes_are_void_and_whoever_gave_them_votes_again(acme: Acme) -> None:
    row = a_request(acme.bot, rule={"approvals": 2})
    vote(row, acme.colleague)
    row = change(row, acme.approver, amount=250)
    assert Review.objects.get().voided_at is not None
    assert vote(row, acme.admin).state == "pending"  # one of two: the earlier vote does not count
    assert vote(row, acme.colleague).state == "approved"


def test_who_voted_before_a_change_finds_it_again_among_what_is_theirs_to_decide(acme: Acme, enter: Enter) -> None:
    row = a_request(acme.bot, rule={"approvals": 2})
    vote(row, acme.colleague)
    assert row.approval_id not in enter(acme.colleague).get("/inbox/?view=mine").content.decode()
    change(row, acme.approver, amount=250)
    assert row.approval_id in enter(acme.colleague).get("/inbox/?view=mine").content.decode()
    assert row.approval_id not in enter(acme.approver).get("/inbox/?view=mine").content.decode()


def test_votes_stay_void_when_the_request_is_changed_back(acme: Acme) -> None:
    row = a_request(acme.bot, rule={"approvals": 2})
    before = row.digest
    vote(row, acme.colleague)
    row = change(row, acme.approver, customer_id="cus_2")
    row = change(row, acme.admin, customer_id="cus_1")
    assert (row.digest, row.asked, row.asked_context) == (before, None, "")
    assert row.editors == [acme.approver.id, acme.admin.id]
    assert Review.objects.filter(voided_at=None).count() == 0
    assert vote(row, acme.colleague).state == "pending"


@pytest.mark.parametrize(
    ("who", "code"), [("owner", "owner"), ("viewer", "role"), ("auditor", "role"), ("stranger", "not_a_member")]
)
def test_who_may_not_decide_may_not_change_either(acme: Acme, who: str, code: str) -> None:
    row = a_request(acme.bot)
    with pytest.raises(rules.Refused) as refused:
        change(row, getattr(acme, who), amount=1)
    assert refused.value.code == code
    assert not Edit.objects.exists()


def test_nobody_changes_what_was_not_shown_what_ended_or_without_saying_why(acme: Acme) -> None:
    row = a_request(acme.bot)
    with pytest.raises(rules.Conflict):
        change(row, acme.approver, amount=1, digest="0" * 64)
    with pytest.raises(rules.Incomplete):
        change(row, acme.approver, reason=" ", amount=1)
    vote(row, acme.colleague)
    with pytest.raises(rules.Conflict):
        change(row, acme.approver, amount=1)


def test_who_is_not_sure_enough_to_decide_changes_nothing(acme: Acme) -> None:
    row = a_request(acme.bot, rule={"assurance": "browser"})
    with pytest.raises(rules.Refused) as refused:
        change(row, acme.approver, amount=1, via="api")
    assert refused.value.code == "assurance"


def test_a_rule_that_names_fields_and_lets_nobody_change_them_lets_nobody(acme: Acme) -> None:
    row = a_request(acme.bot, rule={"edits_allowed": False})
    with pytest.raises(rules.Refused) as refused:
        change(row, acme.approver, amount=1)
    assert refused.value.code == "edits"
    assert not Edit.objects.exists()


def test_nobody_changes_what_nobody_else_could_decide_then(acme: Acme) -> None:
    row = a_request(acme.bot, rule={"roles": ["approver"]})
    acme.colleague.memberships.all().delete()
    with pytest.raises(rules.Refused) as refused:
        change(row, acme.approver, amount=1)
    assert refused.value.code == "edit_alone"


def test_the_policy_of_now_decides_again_and_its_no_is_a_no(acme: Acme) -> None:
    row = a_request(acme.bot)
    factories.a_permission(acme.bot, "stripe.refund", "deny", condition='context.customer_id == "cus_2"')
    with pytest.raises(rules.Conflict) as refused:
        change(row, acme.approver, customer_id="cus_2")
    assert refused.value.code == "edit_policy"
    Agent.objects.filter(id=acme.bot.id).update(status="suspended")
    with pytest.raises(rules.Conflict):
        change(row, acme.approver, amount=1)


def test_another_tier_takes_it_over_only_under_the_very_same_rule(acme: Acme) -> None:
    row = a_request(acme.bot)
    large = Permission.objects.get(action="stripe.refund.large")
    medium = factories.a_permission(
        acme.bot, "stripe.refund.medium", "ask", max_amount=300, approval_rule=large.approval_rule, risk="high"
    )
    other = factories.a_permission(
        acme.bot, "stripe.refund.small", "ask", max_amount=100, approval_rule=factories.a_rule(acme.organization)
    )
    with pytest.raises(rules.Conflict) as refused:
        change(row, acme.approver, amount=50)
    assert refused.value.code == "edit_policy"
    row = change(row, acme.approver, amount=250)
    assert row.permission_data["id"] == str(medium.id)
    assert row.risk == "high"
    assert row.digest == digest_of(row)
    other.effect = "allow"
    other.save()
    row = change(row, acme.colleague, amount=50)  # allowed by itself: it waits for its person all the same
    assert (row.state, row.permission_data["id"]) == ("pending", str(medium.id))


def test_two_open_requests_never_ask_exactly_the_same(acme: Acme) -> None:
    first = a_request(acme.bot, context={"amount": 500, "customer_id": "cus_1"})
    second = a_request(acme.bot, context={"amount": 250, "customer_id": "cus_1"})
    with pytest.raises(rules.Conflict) as refused:
        change(first, acme.approver, amount=250)
    assert refused.value.code == "edit_twice"
    second = change(second, acme.approver, amount=100)
    with pytest.raises(rules.Conflict):  # what it was is still what its agent waits for
        change(first, acme.approver, amount=250)


def test_a_person_changes_a_request_in_two_steps_without_a_script(acme: Acme, enter: Enter) -> None:
    row = a_request(acme.bot)
    client = enter(acme.approver)
    address = f"/approvals/{row.approval_id}/change"
    assert address in client.get(f"/approvals/{row.approval_id}").content.decode()
    form = client.get(address, {"digest": row.digest}).content.decode()
    assert 'name="field:amount" class="mono" value="500"' in form
    assert "field:currency" not in form
    assert "field:by" not in form
    typed = {"digest": row.digest, "field:amount": "250", "field:customer_id": "cus_1", "field:urgent": "1"}
    shown = client.post(address, typed).content.decode()
    assert "Not changed yet." in shown
    row.refresh_from_db()
    assert row.asked is None
    becomes = shown.partition('name="becomes" value="')[2][:64]
    other = client.post(address, typed | {"field:amount": "1", "sure": "1", "becomes": becomes, "reason": "Why"})
    assert "Not changed yet." in other.content.decode()  # what is done is what was shown
    done = client.post(address, typed | {"sure": "1", "becomes": becomes, "reason": "Half of it."}, follow=True)
    assert done.redirect_chain == [(f"/approvals/{row.approval_id}", 302)]
    shown = done.content.decode()
    assert "Changed by people" in shown
    assert "You changed this request" in shown
    row.refresh_from_db()
    assert (row.amount, row.digest) == (250, becomes)


def test_a_form_that_will_not_do_keeps_what_was_typed(acme: Acme, enter: Enter) -> None:
    row = a_request(acme.bot)
    address = f"/approvals/{row.approval_id}/change"
    for headers in ({}, {"HX-Request": "true"}):
        answer = enter(acme.approver).post(
            address, {"digest": row.digest, "field:amount": "lots", "reason": "Hm"}, headers=headers
        )
        assert answer.status_code == 422
        assert 'value="lots"' in answer.content.decode()
    assert enter(acme.viewer).post(address, {"digest": row.digest, "field:amount": "1"}).status_code == 403
    assert enter(acme.stranger).get(address).status_code == 404
    locked = a_request(Agent.objects.create(organization=acme.organization, slug="b", name="b", owner_user=acme.owner))
    Approval.objects.filter(id=locked.id).update(rule=locked.rule | {"edits_allowed": False})
    assert (
        f"/{locked.approval_id}/change"
        not in enter(acme.approver).get(f"/approvals/{locked.approval_id}").content.decode()
    )
