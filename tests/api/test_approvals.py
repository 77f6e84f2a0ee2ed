"""Approvals by script: read by those who may see them, decided by those who may in the browser, by the same rules."""

import json

import pytest
from django.db import connection

from accounts.models import Membership
from approvals.models import Approval, Review
from audit.models import Event
from tests.api.conftest import Api, a_token
from tests.factories import a_member, a_permission, a_rule, an_agent, an_approval


@pytest.fixture
def waiting(world):
    return an_approval(agent=world.bot, amount="500.00", context={"customer_id": "cus_1"}, reasoning="Asked twice")


def test_a_viewer_reads_and_does_not_decide(viewer, waiting):
    shown = viewer("GET", f"approvals/{waiting.approval_id}", status=200)
    assert shown["status"] == "pending"
    assert shown["context"] == {"amount": "500.00", "currency": "USD", "customer_id": "cus_1"}
    assert (shown["amount"], shown["agent"], shown["digest"]) == (500, "support-bot", waiting.digest)
    assert shown["url"].endswith(f"/approvals/{waiting.approval_id}")
    assert viewer("GET", "approvals?status=pending", status=200) == [shown]
    viewer("POST", f"approvals/{waiting.approval_id}/approve", status=403)


def test_an_approver_approves_what_she_was_shown(approver, waiting):
    shown = approver("GET", f"approvals/{waiting.approval_id}", status=200)
    decided = approver(
        "POST", f"approvals/{waiting.approval_id}/approve", {"reason": "Fine", "digest": shown["digest"]}, 200
    )
    assert (decided["status"], decided["decided_by"], decided["reason"]) == ("approved", approver.person.email, "Fine")
    assert [(each["by"], each["verdict"], each["via"]) for each in decided["reviews"]] == [
        (approver.person.email, "approve", "api")
    ]
    assert Event.objects.filter(kind="person:approval:approved", target=waiting.approval_id).count() == 1
    again = approver("POST", f"approvals/{waiting.approval_id}/approve", {"digest": shown["digest"]}, 200)
    assert again == decided
    assert Review.objects.count() == 1


def test_a_denial_needs_its_reason(approver, waiting):
    refused = approver("POST", f"approvals/{waiting.approval_id}/deny", status=422)
    assert refused["code"] == "reason_required"
    denied = approver("POST", f"approvals/{waiting.approval_id}/deny", {"reason": "Not this one"}, 200)
    assert denied["status"] == "denied"
    late = approver("POST", f"approvals/{waiting.approval_id}/approve", status=409)
    assert late["code"] == "decided"


def test_another_digest_than_the_one_shown_decides_nothing(approver, waiting):
    answer = approver("POST", f"approvals/{waiting.approval_id}/approve", {"digest": "0" * 64}, 409)
    assert answer["code"] == "digest"
    assert approver("GET", f"approvals/{waiting.approval_id}", status=200)["status"] == "pending"


def several(*rows, **more):
    return {"approvals": [{"id": row.approval_id, "digest": row.digest} for row in rows]} | more


def test_several_of_low_risk_are_decided_each_as_its_own_vote_and_event(approver, world):
    three = [an_approval(agent=world.bot, risk="low") for _ in range(3)]
    two_people = an_approval(agent=world.bot, risk="low", rule={"approvals": 2})
    sent = several(*three, two_people, verdict="approve", reason="Small ones")
    told = approver("POST", "approvals/together", sent, 200)
    assert told == [
        {"id": row.approval_id, "voted": True, "status": status, "code": None, "detail": None}
        for row, status in zip((*three, two_people), ["approved"] * 3 + ["pending"], strict=True)
    ]
    assert {(row.approval_id, row.digest, row.via, row.reason) for row in Review.objects.all()} == {
        (row.id, row.digest, "api", "Small ones") for row in (*three, two_people)
    }
    voted = Event.objects.filter(kind="person:review:approve")
    assert sorted(each.target for each in voted) == sorted(row.approval_id for row in (*three, two_people))
    assert all(each.data["together"] is True for each in voted)
    assert approver("POST", "approvals/together", sent, 200) == told  # sent again: nothing more comes of it
    assert Review.objects.count() == 4


def test_what_cannot_be_decided_with_others_is_told_in_its_place(approver, stranger, world):
    fine, medium, late = (an_approval(agent=world.bot, risk=risk) for risk in ("low", "medium", "low"))
    late_row = Approval.objects.filter(id=late.id)
    late_row.update(expires_at=late.created_at)
    browser = an_approval(agent=world.bot, risk="low", rule={"assurance": "browser"})
    own = an_approval(agent=world.bot, risk="low", requesters=[approver.person])
    changed = an_approval(agent=world.bot, risk="low")
    test = an_approval(agent=world.bot, risk="low", mode="test")
    foreign = an_approval(agent=an_agent(Membership.objects.get(user=stranger.person).organization), risk="low")
    sent = several(fine, medium, late, browser, own, test, foreign, verdict="deny", reason="No")
    sent["approvals"] += [{"id": changed.approval_id, "digest": "0" * 64}, {"id": "apr_nothing", "digest": ""}]
    told = approver("POST", "approvals/together", sent, 200)
    assert [(each["voted"], each["status"], each["code"]) for each in told] == [
        (True, "denied", None),
        (False, "pending", "together"),
        (False, "expired", "expired"),
        (False, "pending", "assurance"),
        (False, "pending", "requester"),
        (False, None, "not_found"),
        (False, None, "not_found"),
        (False, "pending", "digest"),
        (False, None, "not_found"),
    ]
    assert [each["detail"] is None for each in told] == [True] + [False] * 8
    assert [row.approval_id for row in Review.objects.all()] == [fine.id]


def test_several_need_the_scope_and_are_named_once_and_not_too_many(approver, viewer, world):
    low = an_approval(agent=world.bot, risk="low")
    sent = several(low, verdict="approve")
    viewer("POST", "approvals/together", sent, status=403)
    reading = Api(a_token(approver.person, "approvals:read"))
    reading("POST", "approvals/together", sent, status=403)
    for wrong in (
        several(low, low, verdict="approve"),
        several(verdict="approve"),
        several(*[low] * 51, verdict="approve"),
        several(low, verdict="perhaps"),
        several(low),
        {"verdict": "approve", "approvals": [{"id": low.approval_id}]},  # nothing is decided unseen
    ):
        approver("POST", "approvals/together", wrong, status=422)
    assert not Review.objects.exists()


def test_a_failure_halfway_says_that_some_may_be_decided(approver, world):
    first, second = (an_approval(agent=world.bot, risk="low") for _ in range(2))
    with connection.cursor() as cursor:  # the database goes away at the second vote
        cursor.execute(
            "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = 'admin_shutdown'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER gone BEFORE INSERT ON approvals_review FOR EACH ROW"
            f" WHEN (NEW.approval_id = '{second.id}') EXECUTE FUNCTION gone()"
        )
    sent = several(first, second, verdict="approve")
    told = approver("POST", "approvals/together", sent, 503)
    assert told["detail"].endswith("Some may be decided: send the same again, nobody votes twice.")
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER gone ON approvals_review")
    again = approver("POST", "approvals/together", sent, 200)
    assert [each["status"] for each in again] == ["approved", "approved"]
    assert Review.objects.count() == 2


def test_nobody_decides_what_her_own_agent_asked(world):
    person = a_member(world.acme, "owner")
    own = an_approval(agent=an_agent(world.acme, owner=person))
    answer = Api(a_token(person))("POST", f"approvals/{own.approval_id}/approve", status=403)
    assert answer["code"] == "owner"


def test_nobody_decides_without_the_scope(world, waiting):
    api = Api(a_token(a_member(world.acme, "approver"), "approvals:read"))
    assert "approvals:decide" in api("POST", f"approvals/{waiting.approval_id}/approve", status=403)["detail"]


def test_what_is_overdue_is_expired_swept_or_not(approver, world):
    late = an_approval(agent=world.bot, minutes=-1)
    assert approver("GET", f"approvals/{late.approval_id}", status=200)["status"] == "expired"
    assert [each["id"] for each in approver("GET", "approvals?status=expired", status=200)] == [late.approval_id]
    assert approver("GET", "approvals?status=pending", status=200) == []
    assert approver("POST", f"approvals/{late.approval_id}/approve", status=409)["code"] == "expired"
    assert [each["id"] for each in approver("GET", "approvals?status=expired", status=200)] == [late.approval_id]


def test_lists_go_newest_first_page_by_page_within_a_mode(viewer, world):
    made = [an_approval(agent=world.bot).approval_id for _ in range(5)]
    test = an_approval(agent=world.bot, mode="test").approval_id
    other = an_approval(agent=an_agent(world.acme, "other-bot")).approval_id
    newest = list(reversed(made))
    found = [each["id"] for each in viewer("GET", "approvals?agent_id=support-bot&limit=2", status=200)]
    assert found == newest[:2]
    found = [each["id"] for each in viewer("GET", f"approvals?agent_id=support-bot&after={found[-1]}", status=200)]
    assert found == newest[2:]
    assert [each["id"] for each in viewer("GET", "approvals?mode=test", status=200)] == [test]
    assert [each["id"] for each in viewer("GET", "approvals?limit=1", status=200)] == [other]


def test_another_organizations_approvals_are_not_there(stranger, waiting):
    for method, verb in (("GET", ""), ("POST", "/approve"), ("POST", "/deny")):
        assert stranger(method, f"approvals/{waiting.approval_id}{verb}", status=404) == {
            "detail": "Approval not found"
        }
    assert stranger("GET", "approvals", status=200) == []
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_two_people_are_two_where_the_rule_says_two(world):
    rule = a_rule(world.acme, approvals=2)
    waiting = an_approval(agent=world.bot, rule=rule.snapshot())
    first, second = world.person("approver"), world.person("admin")
    assert first("POST", f"approvals/{waiting.approval_id}/approve", status=200)["status"] == "pending"
    assert second("POST", f"approvals/{waiting.approval_id}/approve", status=200)["status"] == "approved"


def test_a_request_is_sent_back_with_what_has_to_change(approver, waiting):
    approver("POST", f"approvals/{waiting.approval_id}/deny", {"changes": True}, 422)
    denied = approver("POST", f"approvals/{waiting.approval_id}/deny", {"changes": True, "reason": "At most 300"}, 200)
    assert (denied["status"], denied["code"], denied["reason"]) == ("denied", "changes_requested", "At most 300")
    assert [each["changes"] for each in denied["reviews"]] == [True]


def test_people_talk_by_script_where_their_role_lets_them(world, approver, viewer, waiting):
    path = f"approvals/{waiting.approval_id}/comments"
    sent = {"text": "See this, @nobody", "attachment": {"name": "a.log", "text": "lost"}}
    said = approver("POST", path, sent, 201)
    assert (said["by"], said["kind"], said["attachment"]) == (approver.person.email, "comment", sent["attachment"])
    asked = approver("POST", path, {"text": "Why?", "question": True}, 201)
    assert asked["kind"] == "question"
    assert viewer("GET", path, status=200) == [said, asked]
    viewer("POST", path, {"text": "Me too"}, 403)
    assert approver("POST", path, {"text": " "}, 422)["code"] == "text_required"
    owner = Api(a_token(a_member(world.acme, "owner"), "approvals:read", "approvals:decide"))
    owner("POST", path, {"text": "Without the scope"}, 403)


def test_a_change_by_script_takes_the_same_rules_and_keeps_both_digests(world, approver):
    a_member(world.acme, "approver")  # who decides it then
    rule = a_rule(world.acme, edits_allowed=True, edit_fields=["customer_id"])
    tier = a_permission(world.bot, "stripe.refund.large", "ask", max_amount=1000, approval_rule=rule)
    row = an_approval(agent=world.bot, action="stripe.refund", amount="500.00", context={"customer_id": "cus_1"})
    Approval.objects.filter(id=row.id).update(
        rule=rule.snapshot(), permission=json.dumps(json.loads(row.permission) | {"id": str(tier.id)})
    )
    path = f"approvals/{row.approval_id}/change"
    assert approver("POST", path, {"values": {"amount": "1"}, "reason": "Less"}, 403)["code"] == "edits"
    assert approver("POST", path, {"values": {"customer_id": "cus_2"}}, 422)["code"] == "reason_required"
    sent = {"values": {"customer_id": "cus_2"}, "reason": "The other one", "digest": row.digest}
    changed = approver("POST", path, sent, 200)
    assert changed["context"]["customer_id"] == "cus_2"
    assert changed["asked_context"]["customer_id"] == "cus_1"
    assert changed["asked_digest"] == row.digest != changed["digest"]
    assert [(each["by"], each["changes"]) for each in changed["edits"]] == [
        (approver.person.email, [{"field": "customer_id", "before": "cus_1", "after": "cus_2"}])
    ]
    assert approver("POST", path, sent, 403)["code"] == "editor"
    assert approver("POST", f"approvals/{row.approval_id}/approve", status=403)["code"] == "editor"


def test_a_grant_by_script_is_made_with_the_approval_listed_and_revoked(world, approver, viewer):
    row = an_approval(agent=world.bot, amount="500.00", context={"customer_id": "cus_1"}, rule={"grants_allowed": True})
    path = f"approvals/{row.approval_id}/approve"
    terms = {"minutes": 60, "uses": 5, "each": "500", "total": 2000, "same": ["customer_id"]}
    refused = approver("POST", path, {"grant": terms | {"each": 501}}, 422)
    assert refused["code"] == "grant_terms"
    assert approver("POST", path, {"grant": terms}, 200)["status"] == "approved"
    [grant] = viewer("GET", "grants?active=true", status=200)
    assert (grant["state"], grant["max_uses"], grant["total"], grant["same"]) == (
        "active",
        5,
        2000,
        {"customer_id": "cus_1"},
    )
    assert viewer("GET", f"grants/{grant['id']}", status=200) == grant
    viewer("POST", f"grants/{grant['id']}/revoke", {}, 403)
    ended = approver("POST", f"grants/{grant['id']}/revoke", {"reason": "Enough"}, 200)
    assert (ended["state"], ended["revoked_because"]) == ("revoked", "Enough")
    assert viewer("GET", "grants?active=true&agent_id=support-bot", status=200) == []


def test_habits_are_for_those_who_look_after_others(owner, world, approver):
    assert owner("GET", "habits", status=200) == []
    row = an_approval(agent=world.bot)
    approver("POST", f"approvals/{row.approval_id}/approve", {"reason": "fine"}, 200)
    (found,) = owner("GET", "habits?days=7", status=200)
    assert (found["email"], found["votes"], found["approvals"]) == (approver.person.email, 1, 1)
    assert (found["running_streak"], found["approves_everything"]) == (1, False)
    assert owner("GET", "habits?mode=test", status=200) == []
    approver("GET", "habits", status=403)
    owner("GET", "habits?days=91", status=422)
