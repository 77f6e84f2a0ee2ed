"""POST /v1/data: what an OPA client asks and is answered, against the running server."""

import base64
import io
import json
import tarfile
import uuid
from typing import Any

import httpx
import pytest
import regorus

from agents.models import Agent, ApiKey, Permission
from approvals.models import Approval
from audit.ids import read_id
from audit.models import Event
from tests.factories import an_agent, an_organization
from tests.gateway.conftest import World, make_key
from tests.warden.scraping import grown, labels, settled

pytestmark = pytest.mark.django_db(transaction=True)
CALLER = "spiffe://example.com/agent/api-gateway/production"
CALLEE = "spiffe://example.com/agent/data-processor/production"
OBJECT, BOOLEAN = "/v1/data/agentweave/authz", "/v1/data/agentweave/authz/allow"


class Opa:
    """An OPA client with a key of the scope that it takes."""

    def __init__(self, world: World, **fields: Any) -> None:
        Agent.objects.filter(pk=world.bot.pk).update(spiffe_id=CALLER)
        for action, effect in (("query", "allow"), ("health_check", "allow"), ("purge", "ask"), ("drop", "deny")):
            Permission.objects.create(agent=world.bot, action=f"agentweave.{action}", effect=effect, callee=CALLEE)
        self.world = world
        self.key = make_key(world.acme, scopes=["authz:query"], **fields)

    def post(self, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.world.client.post(path, **{"headers": headers, **more})

    def ask(self, action: str, path: str = OBJECT, **said: Any) -> Any:
        given = {"caller_spiffe_id": CALLER, "callee_spiffe_id": CALLEE, "action": action} | said
        answer = self.post(path, json={"input": given})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]


@pytest.fixture
def opa(world: World) -> Opa:
    return Opa(world)


def test_the_boolean_and_the_object_form(opa: Opa) -> None:
    assert opa.ask("query", BOOLEAN) is True
    assert opa.ask("admin", BOOLEAN) is False
    said = opa.ask("query")
    assert said["allow"] is True
    assert said["reason"] == "Allowed by 'agentweave.query'"
    assert said["policy_id"].startswith("pv_")
    assert opa.ask("admin")["allow"] is False


def test_an_answer_is_recorded_with_its_callee_before_it_leaves(opa: Opa) -> None:
    given = {"caller_spiffe_id": CALLER, "resource_spiffe_id": CALLEE, "action": "query", "context": {"rows": 5}}
    answer = opa.post(OBJECT, json={"input": given}).json()
    event = Event.objects.get(id=read_id("dec", answer["decision_id"]))
    assert (event.kind, event.agent, event.action) == ("agent:check:allow", "support-bot", "agentweave.query")
    assert (event.data["callee"], event.data["context"]) == (CALLEE, {"rows": 5})


@pytest.mark.parametrize("callee", [CALLEE.replace("data-processor", "other"), None])
def test_a_permission_for_one_callee_is_none_for_another(opa: Opa, callee: str | None) -> None:
    said = opa.ask("query", callee_spiffe_id=callee)
    assert said["allow"] is False
    assert "callee" in said["reason"]


def test_a_permission_that_names_no_callee_holds_for_all(opa: Opa) -> None:
    assert opa.ask("email.send", callee_spiffe_id="spiffe://example.com/mailer")["allow"] is True


def test_calls_are_counted_by_the_capability_that_matched(opa: Opa) -> None:
    before = settled(opa.world.server.url)
    for action in ("query", "query", "drop", "made_up_by_the_agent"):
        opa.ask(action)
    after = settled(opa.world.server.url)
    calls = {labels(capability="query"): 2, labels(capability="drop"): 1, labels(capability="other"): 1}
    assert grown(before, after, "agentweave_capability_calls_total") == calls


def test_a_deny_wins_and_what_nobody_granted_is_denied(opa: Opa) -> None:
    assert opa.ask("drop")["reason"] == "Denied by permission 'agentweave.drop'"
    assert opa.ask("new_action")["reason"] == "No permission for action 'agentweave.new_action'"


def test_amounts_find_their_tier(opa: Opa) -> None:
    assert opa.ask("stripe.refund", context={"amount": 42.5})["permission"] == "stripe.refund.small"
    assert opa.ask("stripe.refund", BOOLEAN, context={"amount": 1500}) is False


def test_an_unknown_caller_is_denied_recorded_and_counted(opa: Opa) -> None:
    before = settled(opa.world.server.url)
    said = opa.ask("query", caller_spiffe_id="spiffe://example.com/agent/unknown")
    assert (said["allow"], said["reason"], said["policy_id"]) == (False, "Unknown caller", "unknown_caller")
    assert opa.ask("query", BOOLEAN, caller_spiffe_id="spiffe://example.com/agent/unknown") is False
    [first, _] = Event.objects.filter(kind="agent:check:refuse").order_by("id")
    assert first.data["code"] == "unknown_caller"
    after = settled(opa.world.server.url)
    assert grown(before, after, "agentweave_authz_denied_total") == {labels(reason="unknown_caller"): 2}


def test_the_agent_of_another_organization_is_an_unknown_caller(opa: Opa) -> None:
    foreign = "spiffe://example.com/agent/foreign"
    an_agent(an_organization(), spiffe_id=foreign)
    assert opa.ask("query", caller_spiffe_id=foreign)["policy_id"] == "unknown_caller"


def test_a_key_of_one_agent_asks_for_no_other(world: World) -> None:
    opa = Opa(world)
    other = an_agent(world.acme, spiffe_id="spiffe://example.com/agent/other")
    opa.key = make_key(world.acme, agent=other, scopes=["authz:query"])
    assert opa.ask("query")["policy_id"] == "unknown_caller"


def test_what_needs_a_person_is_denied_until_they_said_yes_and_then_allowed_once(opa: Opa) -> None:
    asked = opa.ask("purge", context={"table": "logs"}, timestamp="2026-11-25T12:00:00Z")
    assert (asked["allow"], asked["requires_approval"]) == (False, True)
    assert opa.ask("purge", BOOLEAN, context={"table": "logs"}) is False
    assert opa.ask("purge", context={"table": "logs"})["approval_id"] == asked["approval_id"]
    approval = Approval.objects.get(id=read_id("apr", asked["approval_id"]))
    assert approval.callee == CALLEE
    opa.world.decide(asked["approval_id"])
    other = opa.ask("purge", context={"table": "logs"}, callee_spiffe_id="spiffe://example.com/agent/other")
    assert other["allow"] is False
    taken = opa.ask("purge", context={"table": "logs"}, timestamp="2026-11-25T12:05:00Z")
    assert (taken["allow"], taken["approval_id"]) == (True, asked["approval_id"])
    assert opa.ask("purge", BOOLEAN, context={"table": "logs"}) is False


def test_what_was_asked_through_opa_is_claimed_through_the_agent_api(opa: Opa) -> None:
    asked = opa.ask("purge", context={"table": "logs"})
    opa.world.decide(asked["approval_id"])
    claimed = opa.world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key=uuid.uuid4().hex)
    assert claimed.status_code == 200, claimed.text


def test_the_key_comes_as_bearer_or_as_the_password_of_a_url(opa: Opa) -> None:
    given = {"input": {"caller_spiffe_id": CALLER, "callee_spiffe_id": CALLEE, "action": "query"}}
    url = opa.world.server.url.replace("http://", f"http://opa:{opa.key}@")
    assert httpx.post(f"{url}{BOOLEAN}", json=given).json()["result"] is True
    for wrong in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"no-colon").decode(), "Bearer nothing", ""):
        answer = opa.post(BOOLEAN, json=given, headers={"Authorization": wrong})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert "result" not in answer.json()


def test_a_key_without_the_scope_asks_nothing(opa: Opa) -> None:
    opa.key = opa.world.key
    answer = opa.post(OBJECT, json={"input": {"caller_spiffe_id": CALLER, "action": "query"}})
    assert (answer.status_code, answer.json()["code"]) == (403, "invalid_operation")


def test_and_a_key_of_that_scope_alone_is_none_for_the_agent_api(opa: Opa) -> None:
    body = {"agent_id": "support-bot", "action": "email.send"}
    assert opa.world.post("/sdk/check", body, opa.key).status_code == 403


def test_opas_query_parameters_change_nothing(opa: Opa) -> None:
    path = f"{BOOLEAN}?pretty=true&metrics&instrument=true&strict-builtin-errors=1&explain=full"
    assert opa.ask("query", path) is True


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "missing"),
        (b"{}", "spiffe://"),
        (b'{"input": {}}', "spiffe://"),
        (b'{"input": []}', "input"),
        (b'{"input": {"caller_spiffe_id": 5}}', "caller_spiffe_id"),
        (b'{"input": {"caller_spiffe_id": "' + CALLER.encode() + b'"}}', "input.action"),
        (b'{"input": {"caller_spiffe_id": "https://example.com/a", "action": "query"}}', "spiffe://"),
        (b'{"input": {"caller_spiffe_id": "spiffe://example.com:443/a", "action": "query"}}', "port"),
        (b'{"input": {"caller_spiffe_id": "spiffe://example.com/a?b", "action": "query"}}', "query"),
        (b'{"input": {"caller_spiffe_id": "spiffe://example.com/a/../b", "action": "query"}}', "path"),
        (
            b'{"input": {"caller_spiffe_id": "' + CALLER.encode() + b'", "action": "query",'
            b' "caller_trust_domain": "example.org"}}',
            "caller_trust_domain",
        ),
    ],
)
def test_a_question_that_is_none_is_denied_and_has_a_result(opa: Opa, body: bytes, reason: str) -> None:
    answer = opa.post(OBJECT, content=body)
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert (result["allow"], result["policy_id"]) == (False, "invalid_input")
    assert reason in result["reason"] or reason == "missing"
    assert opa.post(BOOLEAN, content=body).json()["result"] is False


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input": {"action": "a", "action": "b"}}', b'{"input": {"n": NaN}}'])
def test_what_is_no_json_object_is_an_error_as_opa_says_it(opa: Opa, body: bytes) -> None:
    answer = opa.post(OBJECT, content=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"code", "message"}
    assert answer.json()["code"] == "invalid_parameter"


def test_paths_are_those_that_the_organization_names(opa: Opa) -> None:
    given = {"caller_spiffe_id": CALLER, "callee_spiffe_id": CALLEE, "action": "query"}
    assert opa.post("/v1/data/httpapi/authz", json={"input": given}).status_code == 404
    type(opa.world.acme).objects.filter(pk=opa.world.acme.pk).update(authz_paths=["httpapi/authz"])
    assert opa.ask("query", BOOLEAN) is True  # the first question after a change brings the policy up to date
    assert opa.ask("query", "/v1/data/httpapi/authz/allow") is True
    assert opa.ask("query", "/v1/data/httpapi/authz")["allow"] is True
    assert opa.world.client.get(OBJECT, headers={"Authorization": f"Bearer {opa.key}"}).status_code == 405


def test_health_answers_as_opas_does(world: World) -> None:
    answer = world.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {})


def test_a_banned_agent_is_denied_from_the_next_question_on(opa: Opa) -> None:
    assert opa.ask("query", BOOLEAN) is True
    Agent.objects.filter(pk=opa.world.bot.pk).update(status="banned")
    assert opa.ask("query")["reason"] == "Agent is banned"


BUNDLE = "/bundles/agentweave-authz.tar.gz"


def test_a_bundle_is_fetched_once_and_again_when_something_changed(opa: Opa) -> None:
    headers = {"Authorization": f"Bearer {opa.key}"}
    first = opa.world.client.get(BUNDLE, headers=headers)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/gzip")
    same = opa.world.client.get(BUNDLE, headers=headers | {"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    Agent.objects.filter(pk=opa.world.bot.pk).update(status="suspended")
    changed = opa.world.client.get(BUNDLE, headers=headers | {"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    engine = regorus.Engine()
    with tarfile.open(fileobj=io.BytesIO(first.content), mode="r:gz") as archive:
        for name in ("/agentweave/authz.rego", "/warden/decision.rego"):
            engine.add_policy(name, archive.extractfile(name).read().decode())  # type: ignore[union-attr]
        engine.add_data_json(archive.extractfile("/data.json").read().decode())  # type: ignore[union-attr]
    engine.set_input({"caller_spiffe_id": CALLER, "callee_spiffe_id": CALLEE, "action": "query"})
    assert engine.eval_rule("data.agentweave.authz.allow") is True


def test_a_bundle_needs_a_key_of_the_scope_and_holds_the_agents_of_that_key(opa: Opa) -> None:
    other = an_agent(opa.world.acme, spiffe_id="spiffe://example.com/agent/other")
    mine = make_key(opa.world.acme, agent=other, scopes=["authz:query"])

    def fetch(key: str) -> httpx.Response:
        return opa.world.client.get(BUNDLE, headers={"Authorization": f"Bearer {key}"})

    assert [fetch(key).status_code for key in (opa.world.key, "nothing")] == [403, 401]
    with tarfile.open(fileobj=io.BytesIO(fetch(mine).content), mode="r:gz") as archive:
        held = json.loads(archive.extractfile("/data.json").read())["warden"]["policy"]  # type: ignore[union-attr]
    assert held["agents"].keys() == {"spiffe://example.com/agent/other"}
    ApiKey.objects.filter(agent=other).update(revoked_at="2026-01-01T00:00:00Z")
    assert fetch(mine).status_code == 401
