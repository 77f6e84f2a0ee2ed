"""The page of the log, the proof of each event, and both by script."""

import json
import re

import pytest
from agentwarden.verify import is_consistent, verify_proof
from agentwarden.verify._notes import decode, read_keys
from django.core.management import call_command
from django.test import Client

from accounts.by import COMMAND_LINE
from accounts.models import Membership
from accounts.services import tokens
from approvals.services import review
from audit.log import Log, Sequencer, Verification
from tests import factories
from tests.audit.sequencing import sequence, some_events, tamper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def home(tmp_path, settings) -> None:
    settings.WARDEN_HOME = tmp_path


class Reader:
    """Somebody of an organization whose record is in order."""

    def __init__(self, role: str = "auditor") -> None:
        self.acme = factories.an_organization()
        self.user = factories.a_member(self.acme, role)
        self.client = Client()
        self.client.force_login(self.user, backend="allauth.account.auth_backends.AuthenticationBackend")
        self.events = some_events(self.acme.id, 5)
        sequence()
        self.events += some_events(self.acme.id, 3)
        sequence()

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status
        return answer.content.decode()


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_the_page_shows_logs_checkpoints_and_keys_and_gives_them_as_files(reader: Reader) -> None:
    page = reader.get("/audit/log")
    log = Log.objects.get(organization_id=reader.acme.id, mode="live")
    assert log.origin in page
    assert "Live at 8" in page
    keys = reader.get("/audit/log/keys")
    assert keys.splitlines()[1].replace("+", "&#x2B;") in page or keys.splitlines()[1] in page
    assert reader.get("/audit/log/checkpoint/live") == log.checkpoints.get(size=8).note
    reader.get("/audit/log/checkpoint/test", status=404)


def test_an_event_is_proved_at_its_checkpoint_and_the_proof_is_checked_offline(reader: Reader) -> None:
    event = reader.events[6]
    assert "checkpoint 8" in reader.get(f"/audit/{event.event_id}")
    proof = reader.get(f"/audit/{event.event_id}/proof")
    trusted = read_keys(reader.get("/audit/log/keys"))
    index, head = verify_proof(proof, reader.get(f"/audit/{event.event_id}/body").encode(), trusted)
    assert (index, head.size) == (6, 8)


def test_what_is_taken_away_names_the_index_of_each_event(reader: Reader) -> None:
    some_events(reader.acme.id)
    answer = reader.client.post("/audit/export", {"kind": "agent:check:allow"})
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [line["index"] for line in lines] == [None, 7, 6, 5, 4, 3, 2, 1, 0]
    assert {line["log"] for line in lines} == {"live"}


def test_what_is_not_in_order_yet_says_so(reader: Reader) -> None:
    [event] = some_events(reader.acme.id)
    assert "Not put in order yet" in reader.get(f"/audit/{event.event_id}")
    reader.get(f"/audit/{event.event_id}/proof", status=404)


def test_another_organization_and_roles_without_the_record_see_nothing(reader: Reader) -> None:
    stranger = Reader()
    event = reader.events[0]
    for path in (f"/audit/{event.event_id}", f"/audit/{event.event_id}/proof"):
        stranger.get(path, status=404)
    log = Log.objects.get(organization_id=reader.acme.id, mode="live")
    assert log.origin not in stranger.get("/audit/log")
    viewer = Reader("viewer")
    for path in ("/audit/log", "/audit/log/keys", "/audit/log/checkpoint/live", f"/audit/{event.event_id}/proof"):
        viewer.get(path, status=403)


def test_a_refused_record_is_told_loudly(reader: Reader) -> None:
    Sequencer.objects.update(refusal="The log is shorter than it was.")
    page = reader.get("/audit/log")
    assert "The record is not what was signed" in page
    assert "The log is shorter than it was." in page


def test_a_verification_is_shown_and_names_what_is_wrong(reader: Reader) -> None:
    call_command("verify_record")
    assert "all hold" in reader.get("/audit/log")
    event = reader.events[3]
    tamper("UPDATE audit_event SET action = 'stripe.payout' WHERE id = %s", event.id)
    with pytest.raises(SystemExit):
        call_command("verify_record")
    last = Verification.objects.first()
    assert last is not None
    assert (last.index, last.problem) == (3, "An event is not what was put in order.")
    assert "An event is not what was put in order." in reader.get("/audit/log")


@pytest.mark.parametrize("written", ["3", "4000000000000"])
def test_a_verification_finds_what_was_put_into_the_record_past_the_sequencer(reader: Reader, written: str) -> None:
    columns = "at, organization_id, mode, kind, result, actor_type, actor_id, actor, agent, action, target, body, leaf"
    tamper(
        f"INSERT INTO audit_event (id, {columns}, written) SELECT gen_random_uuid(), {columns}, %s::xid8"
        " FROM audit_event WHERE id = %s",
        written,
        reader.events[0].id,
    )
    with pytest.raises(SystemExit):
        call_command("verify_record")
    assert "never put in order" in reader.get("/audit/log")


def test_proofs_keys_and_checkpoints_by_script(reader: Reader) -> None:
    member = Membership.objects.get(user=reader.user)
    _, token = tokens.create(member=member, name="t", scopes=["logs:read"], days=None, by=COMMAND_LINE)

    def get(path: str, status: int = 200):
        answer = Client().get(f"/api/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.content
        return json.loads(answer.content)

    trusted = read_keys(get("record/keys")[0]["verifier_key"])
    event = reader.events[2]
    for newest, size in ((False, 5), (True, 8)):
        proof = get(f"events/{event.event_id}/proof?newest={str(newest).lower()}")
        assert (proof["index"], proof["checkpoint"]["size"]) == (2, size)
        assert verify_proof(proof["file"], event.body.encode(), trusted)[0] == 2
    heads = {head["size"]: bytes.fromhex(head["root"]) for head in get("record/checkpoints")}
    shown = get("record/consistency?old=5")
    assert is_consistent(5, 8, heads[5], heads[8], [decode(each) for each in shown["hashes"]])
    assert [log["checkpoint"]["size"] for log in get("record/logs") if log["mode"] == "live"] == [8]
    get("record/consistency?old=9", status=422)
    get("record/checkpoints?mode=test", status=404)
    [late] = some_events(reader.acme.id)
    assert get(f"events/{late.event_id}/proof", status=409)["code"] == "not_sequenced"
    get(f"events/{Reader().events[0].event_id}/proof", status=404)


def test_a_request_shows_that_it_is_proved_and_gives_what_an_auditor_checks_it_with(reader: Reader) -> None:
    bot = factories.an_agent(reader.acme, owner=factories.a_member(reader.acme, "owner"))
    asked = factories.an_approval(agent=bot)
    page = f"/approvals/{asked.approval_id}"
    assert "Download the proof" not in reader.get(page), "nothing about it is in order yet"
    review(
        approval_id=asked.id, by=factories.a_member(reader.acme, "approver"), organization=reader.acme,
        verdict="approve", reason="", digest=asked.digest, via="browser",
    )  # fmt: skip
    sequence()
    shown = reader.get(page)
    [proof] = re.findall(r'href="(/audit/evt_\w+/proof)"', shown)
    name = proof.split("/")[2]
    keys = read_keys(reader.get("/audit/log/keys"))
    _, head = verify_proof(reader.get(proof), reader.get(f"/audit/{name}/body").encode(), keys)
    assert f"checkpoint {head.size}</a>" in shown
    assert f"warden-verify --proof {name}.tlog-proof --event {name}.json --public-key warden-keys.txt" in shown
    reader.client.force_login(
        factories.a_member(reader.acme, "viewer"), backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    assert "Download the proof" not in reader.get(page), "who may not read the record"
