"""One request for one call, by the published client: asked, decided, consumed once, told what came of it."""

import time
import uuid
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from agentapprovalprotocol import Call, Gate
from agentapprovalprotocol._client import ConflictError

from accounts.by import COMMAND_LINE
from agents.models import Permission
from agents.services.external import set_opa
from approvals import edits
from approvals.models import Approval, ToolCall
from approvals.stops.services import stop
from audit.models import Event
from tests import factories
from tests.aap.conftest import Desk
from tests.gateway.conftest import make_key, make_world
from tests.gateway.opa import Opa
from tests.people import Crowd

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_the_policy_allows_is_approved_at_once_and_consumed_once(desk: Desk) -> None:
    body = {"tool": "stripe.refund", "arguments": {"amount": 20}, "timeout": "30s"}
    made = desk.client.create(body, "k-1")
    assert made.status == "approved"
    assert made.decision
    assert "stripe.refund.small" in (made.decision.note or "")
    taken = desk.client.consume(made.id, "once")
    assert taken.consumption
    assert desk.client.consume(made.id, "once").consumption == taken.consumption
    with pytest.raises(ConflictError) as refused:
        desk.client.consume(made.id, "twice")
    assert refused.value.code == "already_consumed"
    assert [event.kind for event in Event.objects.filter(kind__startswith="agent:").order_by("at", "id")][-2:] == [
        "agent:check:allow",
        "agent:call:consume",
    ]


def test_what_the_policy_denies_is_denied_with_its_reason(desk: Desk) -> None:
    made = desk.client.create({"tool": "database.drop", "arguments": {}, "timeout": "30s"}, "k-1")
    assert (made.status, made.decision and made.decision.expires_at) == ("denied", None)
    assert made.decision
    assert made.decision.note
    with pytest.raises(ConflictError) as refused:
        desk.client.consume(made.id, "once")
    assert refused.value.code == "not_approved"
    assert Event.objects.get(kind="agent:check:deny").action == "database.drop"


def test_a_person_decides_while_the_client_waits(desk: Desk) -> None:
    made = desk.client.create({"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m"}, "k-1")
    assert made.status == "pending"
    with Crowd(1) as pool:
        waiting = pool.submit(desk.client.get, made.id, wait=25)
        time.sleep(0.3)
        began = time.monotonic()
        desk.world.decide(made.id, reason="go ahead")
        seen = waiting.result(10)
    assert time.monotonic() - began < 3
    assert (seen.status, seen.decision and seen.decision.note) == ("approved", "go ahead")
    assert desk.client.consume(made.id, "once").consumption
    claimed = Approval.objects.get(id=made.id)
    assert claimed.claimed_at == ToolCall.objects.get(id=made.id).consumed_at
    assert Event.objects.filter(kind="agent:approval:claim", target=claimed.approval_id).count() == 1


def test_what_was_sent_comes_back_as_it_was_sent(desk: Desk) -> None:
    raw = (
        b'{"timeout": "30s", "tool":"email.send","arguments":{"b":1.50,"a":[49.0, 49,1e2,-0.0,{"\\u00e9":null}]},'
        b'"server_":1}'
    )
    assert desk.send("POST", "/requests", raw, Idempotency_Key="k-1").status_code == 400
    raw = raw.replace(b',"server_":1', b',"context": {"n": 49.00, "\xc3\xa9":"\\u0041"},"agent_reasoning":""')
    answer = desk.send("POST", "/requests", raw, Idempotency_Key="k-1")
    assert answer.status_code == 201
    assert b'"arguments":{"b":1.50,"a":[49.0, 49,1e2,-0.0,{"\\u00e9":null}]}' in answer.content
    assert b'"context":{"n": 49.00, "\xc3\xa9":"\\u0041"}' in answer.content
    assert answer.json()["agent_reasoning"] == ""
    again = desk.send("GET", f"/requests/{answer.json()['id']}")
    assert again.content == answer.content


def test_the_same_key_gets_the_same_request_and_other_fields_are_refused(desk: Desk) -> None:
    first = desk.ask("k-1")
    same = desk.send(
        "POST",
        "/requests",
        b'{"timeout":"10m", "arguments": {"order": "k-1", "amount": 500}, "tool":"stripe.refund"}',
        Idempotency_Key="k-1",
    )
    assert (same.status_code, same.json()) == (200, first)
    desk.decide(first)
    assert desk.ask("k-1")["status"] == "approved"
    other = desk.send(
        "POST", "/requests", {"tool": "email.send", "arguments": {}, "timeout": "1m"}, Idempotency_Key="k-1"
    )
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert Approval.objects.count() == 1


def test_raced_submissions_under_one_key_are_one_request(desk: Desk) -> None:
    with Crowd(12) as pool:
        made = list(pool.map(lambda _: desk.ask("k-1"), range(12)))
    assert len({each["id"] for each in made}) == 1
    assert (ToolCall.objects.count(), Approval.objects.count()) == (1, 1)


def test_identical_calls_under_two_keys_are_two_requests_each_decided_and_run_once(desk: Desk) -> None:
    body = {"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m"}
    one, two = (desk.client.create(body, key) for key in ("k-1", "k-2"))
    assert one.id != two.id
    desk.world.decide(one.id)
    assert desk.client.consume(one.id, "once").consumption
    assert desk.client.get(two.id).status == "pending"
    sdk = desk.world.check("stripe.refund", {"amount": 500})
    assert sdk["status"] == "pending", "a check by /sdk shares nothing with them"
    with pytest.raises(ConflictError):
        desk.client.consume(two.id, "once")


def test_a_call_that_was_denied_a_short_while_ago_is_denied_without_asking_again(desk: Desk) -> None:
    body = {"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m"}
    desk.world.decide(desk.client.create(body, "k-1").id, "deny", reason="not this customer")
    again = desk.client.create(body, "k-2")
    assert again.status == "denied"
    assert again.decision
    assert "not this customer" in (again.decision.note or "")
    assert Approval.objects.count() == 1
    Approval.objects.update(created_at="2026-01-01T00:00Z", decided_at="2026-01-01T01:00Z")
    assert desk.client.create(body, "k-3").status == "pending"


def test_a_client_cancels_and_its_wait_ends(desk: Desk) -> None:
    made = desk.ask()
    with Crowd(1) as pool:
        waiting = pool.submit(desk.client.get, made["id"], wait=25)
        time.sleep(0.3)
        assert desk.client.cancel(made["id"]).status == "cancelled"
        assert waiting.result(5).status == "cancelled"
    assert desk.client.cancel(made["id"]).status == "cancelled"
    decided = desk.ask("k-2")
    desk.decide(decided)
    with pytest.raises(ConflictError) as refused:
        desk.client.cancel(decided["id"])
    assert refused.value.code == "already_terminal"


def test_an_outcome_is_told_once_and_only_of_what_was_consumed(desk: Desk) -> None:
    made = desk.ask()
    desk.decide(made)
    with pytest.raises(ConflictError) as refused:
        desk.client.report_outcome(made["id"], "succeeded")
    assert refused.value.code == "not_consumed"
    desk.client.consume(made["id"], "once")
    told = desk.client.report_outcome(made["id"], "failed", "the card was closed")
    assert told.consumption
    assert told.consumption.outcome
    assert told.consumption.outcome.note == "the card was closed"
    assert desk.client.report_outcome(made["id"], "failed", "the card was closed") == told
    for status, note in (("succeeded", None), ("failed", None)):
        with pytest.raises(ConflictError) as refused:
            desk.client.report_outcome(made["id"], status, note)
        assert refused.value.code == "outcome_conflict"
    assert Approval.objects.get().outcome == "failed"
    assert Event.objects.get(kind="agent:action:log").result == "failed"


def test_a_wait_ends_at_the_deadline_which_is_never_later_than_asked(desk: Desk) -> None:
    made = desk.client.create({"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "1s"}, "k-1")
    assert made.deadline_at - made.created_at == timedelta(seconds=1)
    seen = desk.client.get(made.id, wait=25)
    assert (seen.status, seen.deadline_at) == ("expired", made.deadline_at)
    assert seen.decision
    assert seen.decision.decided_at == made.deadline_at
    long = desk.client.create({"tool": "stripe.refund", "arguments": {"amount": 501}, "timeout": "999999999h"}, "k-2")
    assert long.deadline_at == Approval.objects.get(id=long.id).expires_at


def test_an_approval_that_was_not_consumed_in_time_is_gone(desk: Desk) -> None:
    asked, allowed = desk.ask("k-1"), desk.ask("k-2", amount=20)
    desk.decide(asked)
    Approval.objects.update(
        created_at="2026-01-01T00:00Z",
        expires_at="2026-01-02T00:00Z",
        decided_at="2026-01-01T01:00Z",
        claim_until="2026-01-01T02:00Z",
    )
    ToolCall.objects.filter(id=allowed["id"]).update(
        created_at="2026-01-01T00:00Z", decided_at="2026-01-01T00:00Z", expires_at="2026-01-01T01:00Z"
    )
    for made in (asked, allowed):
        answer = desk.send("POST", f"/requests/{made['id']}/consume", Idempotency_Key="once")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "approval_expired")
        assert desk.send("GET", f"/requests/{made['id']}").json()["status"] == "approved"


def test_a_policy_that_changed_since_keeps_a_call_from_being_consumed(desk: Desk) -> None:
    allowed, asked = desk.ask("k-1", amount=20), desk.ask("k-2")
    desk.decide(asked)
    Permission.objects.filter(action__startswith="stripe").update(effect="deny")
    for made in (allowed, asked):
        answer = desk.send("POST", f"/requests/{made['id']}/consume", Idempotency_Key="once")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_approved"), answer.text
    assert not Event.objects.filter(kind__in=["agent:call:consume", "agent:approval:claim"]).exists()


def test_consuming_is_raced_by_many_and_one_gets_it(desk: Desk) -> None:
    for made in (desk.ask("k-1", amount=20), desk.ask("k-2")):
        if made["status"] == "pending":
            desk.decide(made)

        def consume(number: int, made: dict[str, Any] = made) -> int:
            return desk.send("POST", f"/requests/{made['id']}/consume", Idempotency_Key=f"c-{number}").status_code

        with Crowd(16) as pool:
            assert sorted(pool.map(consume, range(16))) == [200] + [409] * 15


def test_the_kill_switch_denies_and_its_deadlines_do_not_stand_still(desk: Desk) -> None:
    waiting, approved = desk.ask("k-1"), desk.ask("k-2")
    desk.decide(approved)
    stop(organization=desk.world.acme, by=desk.world.owner.memberships.get(), reason="odd refunds")
    assert desk.ask("k-3", amount=20)["status"] == "denied"
    answer = desk.send("POST", f"/requests/{approved['id']}/consume", Idempotency_Key="once")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_approved")
    assert Approval.objects.get(id=waiting["id"]).frozen_at is None
    assert desk.send("GET", f"/requests/{waiting['id']}").json()["deadline_at"] == waiting["deadline_at"]


def test_a_changed_request_is_denied_and_says_what_to_ask_for_instead(desk: Desk) -> None:
    rule = factories.a_rule(desk.world.acme, edits_allowed=True, edit_fields=["amount"])
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    Permission.objects.filter(action="stripe.refund.medium").update(effect="ask", max_amount=300, approval_rule=rule)
    made = desk.ask()
    approval = Approval.objects.get(id=made["id"])
    edits.edit(
        approval_id=approval.id,
        by=desk.world.approver,
        organization=desk.world.acme,
        values={"amount": 250},
        reason="Half of it",
        digest=approval.digest,
        via="browser",
    )
    seen = desk.client.get(made["id"])
    assert seen.status == "denied"
    assert seen.decision
    assert "amount: 250 instead of 500" in (seen.decision.note or "")
    assert Approval.objects.get(id=made["id"]).context == approval.context
    with pytest.raises(ConflictError) as refused:
        desk.client.consume(made["id"], "once")
    assert refused.value.code == "not_approved"
    assert desk.ask("k-2", amount=250)["status"] == "pending"


def test_another_instance_and_another_organization_see_nothing(desk: Desk) -> None:
    made = desk.ask()
    other = make_key(desk.world.acme, agent=desk.world.bot, scopes=["aap"])
    stranger = make_world(desk.world.server, desk.world.client, "globex")
    strange = make_key(stranger.acme, agent=stranger.bot, scopes=["aap"])
    for token in (other, strange):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/consume"), ("POST", "/outcome")):
            body = {"status": "succeeded"} if path == "/outcome" else None
            answer = desk.send(method, f"/requests/{made['id']}{path}", body, token, Idempotency_Key="x")
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
    assert desk.ask()["status"] == "pending"


def test_the_gate_of_the_package_runs_a_call_once_approve_and_never_denied(desk: Desk) -> None:
    gate, ran = Gate(desk.client), []

    def run(key: str, amount: float) -> str:
        call = Call(key=key, tool="stripe.refund", arguments={"amount": amount, "order": key})
        with gate.guard(call) as verdict:
            if verdict:
                ran.append(key)
                return "ran"
            return getattr(verdict, "reason", "")

    def person(verdict: Any) -> None:
        for _ in range(100):
            if found := Approval.objects.filter(state="pending").first():
                desk.world.decide(str(found.id), verdict, reason="because")
                return
            time.sleep(0.05)

    assert run("small", 20) == "ran"
    assert "already attempted" in run("small", 20)
    with Crowd(1) as people:
        people.submit(person, "approve")
        assert run("large", 500) == "ran"
        people.submit(person, "deny")
        assert "because" in run("other", 600)
    assert ran == ["small", "large"]
    assert Event.objects.filter(kind="agent:action:log", result="success").count() == 2


@pytest.mark.parametrize(
    ("tool", "server", "action"),
    [
        ("issue_refund", None, "tool.issue_refund"),
        ("stripe.refund", None, "stripe.refund"),
        ("create-issue", "github", "github.create-issue"),
        ("Bash", None, "tool.bash--"),
        ("getUserById", "crm", "crm.get--user--by--id"),
    ],
)
def test_a_tool_is_an_action(desk: Desk, tool: str, server: str | None, action: str) -> None:
    desk.ask(tool=tool, **({"server": server} if server else {}))
    assert ToolCall.objects.get().action == action


def test_an_amount_is_money_and_never_a_float(desk: Desk) -> None:
    made = desk.ask(amount=500.1)
    assert Approval.objects.get(id=made["id"]).amount == Decimal("500.1")
    refused = desk.send(
        "POST",
        "/requests",
        b'{"tool":"stripe.refund","arguments":{"amount":500.10000000000000001},"timeout":"1m"}',
        Idempotency_Key="k-2",
    )
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request")


def test_an_id_that_is_none_leads_nowhere(desk: Desk) -> None:
    for text in ("x", "apr_01J", uuid.uuid4().hex, str(uuid.uuid4())):
        assert desk.send("GET", f"/requests/{text}").status_code == 404


def test_an_external_opa_is_asked_about_a_call_and_again_when_it_is_consumed(desk: Desk, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ip_network("127.0.0.0/8")]

    def consume(made: dict[str, Any]) -> httpx.Response:
        return desk.send("POST", f"/requests/{made['id']}/consume", {}, Idempotency_Key="once")

    with Opa(lambda asked: True) as opa:
        set_opa(organization=desk.world.acme, by=COMMAND_LINE, url=opa.url, timeout_ms=3_000)
        at_once, waiting = desk.ask("k-1", amount=20), desk.ask("k-2", amount=500)
        desk.decide(waiting)
        opa.rule = lambda asked: {"allow": not asked["claim"], "reason": "Frozen"}
        for made in (at_once, waiting):
            refused = consume(made)
            assert (refused.status_code, "Frozen" in refused.text) == (409, True), refused.text
        opa.rule = lambda asked: True
        for made in (at_once, waiting):
            assert consume(made).status_code == 200
        opa.rule = lambda asked: False
        assert desk.ask("k-3", amount=20)["status"] == "denied"
        assert desk.ask("k-3", amount=20)["status"] == "denied"  # as it was kept
