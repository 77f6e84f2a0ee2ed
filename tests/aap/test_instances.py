"""A platform makes instances of an agent with its token, and retires them; people and commands watch over it."""

import contextlib
import io
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from agentapprovalprotocol import Client
from django.core.management import call_command

from agents.models import ApiKey, Instance, Provisioner
from agents.services.provisioners import revoke_provisioner
from approvals.models import Approval
from audit.models import Event
from tests.aap.conftest import Desk
from tests.gateway.conftest import make_world

pytestmark = pytest.mark.django_db(transaction=True)


def make(desk: Desk, token: str, key: str = "p-1", **body: object) -> dict[str, dict[str, str]]:
    answer = desk.send("POST", "/instances", body, token, Idempotency_Key=key)
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, dict[str, str]] = answer.json()
    return made


def test_an_instance_asks_with_its_own_credential_and_manages_nothing(desk: Desk) -> None:
    made = make(desk, desk.provisioner(), instance_name="laptop")
    assert made["instance"]["name"] == "laptop"
    with contextlib.closing(Client(desk.base, made["credential"]["token"], retry_budget=2)) as client:
        asked = client.create({"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m"}, "k-1")
    assert asked.status == "pending"
    assert str(Approval.objects.get().key_id) == made["instance"]["id"]
    answer = desk.send("POST", "/instances", {}, made["credential"]["token"], Idempotency_Key="p-2")
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "authorization")
    body = {"agent_id": "support-bot", "action": "email.send"}
    assert desk.world.post("/sdk/check", body, made["credential"]["token"]).status_code == 403


def test_a_provisioner_token_makes_no_requests(desk: Desk) -> None:
    token = desk.provisioner()
    body = {"tool": "email.send", "arguments": {}, "timeout": "1m"}
    answer = desk.send("POST", "/requests", body, token, Idempotency_Key="k-1")
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "authorization")


def test_a_repeated_creation_gives_the_same_instance_and_credential(desk: Desk) -> None:
    token = desk.provisioner()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make(desk, token, instance_name="laptop"), range(4)))
    assert all(each == made[0] for each in made)
    assert Instance.objects.count() == 1
    other = desk.send("POST", "/instances", {"instance_name": "other"}, token, Idempotency_Key="p-1")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    desk.send("DELETE", f"/instances/{made[0]['instance']['id']}", None, token)
    gone = desk.send("POST", "/instances", {"instance_name": "laptop"}, token, Idempotency_Key="p-1")
    assert (gone.status_code, gone.json()["error"]["code"]) == (409, "instance_deleted")


def test_a_retired_instance_opens_nothing_and_what_it_waited_for_is_cancelled(desk: Desk) -> None:
    token = desk.provisioner()
    made = make(desk, token)
    mine, path = made["credential"]["token"], f"/instances/{made['instance']['id']}"
    body = {"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m"}
    asked = desk.send("POST", "/requests", body, mine, Idempotency_Key="k-1").json()
    for _ in range(2):
        assert desk.send("DELETE", path, None, token).status_code == 204
    assert desk.send("GET", f"/requests/{asked['id']}", None, mine).status_code == 401
    approval = Approval.objects.get()
    assert (approval.state, approval.reason) == ("cancelled", "Its instance was retired")
    for method, change in (("GET", None), ("PATCH", {"instance_name": "x"})):
        assert desk.send(method, path, change, token, Idempotency_Key="c-1").status_code == 404
    assert [event.kind for event in Event.objects.filter(kind__contains=":instance:").order_by("at")] == [
        "agent:instance:create",
        "agent:instance:retire",
    ]


def test_an_instance_is_renamed_once_and_a_repeated_change_overwrites_no_later_one(desk: Desk) -> None:
    token = desk.provisioner()
    path = f"/instances/{make(desk, token)['instance']['id']}"
    first = desk.send("PATCH", path, {"instance_name": "one"}, token, Idempotency_Key="c-1")
    desk.send("PATCH", path, {"instance_name": "two"}, token, Idempotency_Key="c-2")
    again = desk.send("PATCH", path, {"instance_name": "one"}, token, Idempotency_Key="c-1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert desk.send("GET", path, None, token).json()["name"] == "two"
    other = desk.send("PATCH", path, {"instance_name": "three"}, token, Idempotency_Key="c-1")
    assert other.json()["error"]["code"] == "idempotency_conflict"
    assert desk.send("PATCH", path, {}, token, Idempotency_Key="c-3").status_code == 400


def test_anothers_instance_is_not_there(desk: Desk) -> None:
    mine = make(desk, desk.provisioner())["instance"]["id"]
    stranger = make_world(desk.world.server, desk.world.client, "globex")
    others = [desk.provisioner(), Desk(stranger, "", desk.client).provisioner()]
    for token in others:
        for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"instance_name": "x"})):
            assert desk.send(method, f"/instances/{mine}", body, token, Idempotency_Key="c").status_code == 404
        assert desk.send("GET", f"/instances/{uuid.uuid4()}", None, token).status_code == 404


def test_a_revoked_token_opens_nothing_and_leaves_its_instances(desk: Desk) -> None:
    token = desk.provisioner()
    made = make(desk, token)
    revoke_provisioner(provisioner=Provisioner.objects.get(), by=desk.world.owner)
    assert desk.send("POST", "/instances", {}, token, Idempotency_Key="p-2").status_code == 401
    assert desk.send("GET", f"/instances/{made['instance']['id']}", None, token).status_code == 401
    assert desk.send("GET", f"/requests/{uuid.uuid4()}", None, made["credential"]["token"]).status_code == 404


def test_tokens_and_instances_are_managed_by_commands(desk: Desk) -> None:
    def run(name: str, *args: str) -> object:
        out = io.StringIO()
        call_command(name, *args, "--json", stdout=out)
        return json.loads(out.getvalue())

    made = run("create_provisioner_token", "--agent", "support-bot")
    assert isinstance(made, dict)
    token = made["provisioner_token"]
    instance = make(desk, token)["instance"]["id"]
    [listed] = run("list_instances", "--agent", "support-bot")  # type: ignore[misc]
    assert (listed["id"], listed["retired_at"]) == (instance, None)
    assert run("retire_instance", instance)["retired_at"]  # type: ignore[index]
    assert ApiKey.objects.get(id=instance).revoked_at
    [row] = run("list_provisioner_tokens", "--agent", "support-bot")  # type: ignore[misc]
    assert row["revoked_at"] is None
    assert run("revoke_provisioner_token", row["id"])["revoked_at"]  # type: ignore[index]
    assert token not in json.dumps([event.body for event in Event.objects.all()])
