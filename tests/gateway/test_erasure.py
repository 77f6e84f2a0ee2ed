"""From the agent's question to the auditor's check: a subject is erased, nobody reads it any more, all proofs hold."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agentwarden import UsedReceipts, verify_receipt
from django.core.management import call_command

from accounts.by import COMMAND_LINE
from agents.services import privacy
from audit import note, proofs, signing
from audit.log import Log, SigningKey
from audit.models import Event
from audit.subjects import SubjectKey, reveal_for_people
from tests.audit.sequencing import sequence
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
SECRET, CARD = "ann@secret.example", "4242-4242-4242-4242"
CONTEXT = {"amount": 500, "customer": {"id": "cus_1", "email": SECRET}, "card": CARD}
EXECUTOR = "https://payments.example.com"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> None:
    settings.WARDEN_HOME = tmp_path


def warden_verify(*words: object) -> Any:
    """As an auditor runs it, without the server."""
    command = [sys.executable, "-c", "import sys; from agentwarden.verify import main; sys.exit(main())"]
    done = subprocess.run([*command, *map(str, words), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def export(folder: Path) -> dict[str, str]:
    call_command("export_audit", "--output", str(folder))
    return files(folder)


def keep_proof(folder: Path, event: Event) -> tuple[Path, Path]:
    """The two files of an event's page."""
    found = proofs.of_event(event.id)
    assert found
    proof, body = folder / f"{event.event_id}.tlog-proof", folder / f"{event.event_id}.json"
    proof.write_text(found.text)
    body.write_text(event.body)
    return proof, body


def test_an_erased_subject_is_read_by_nobody_and_every_proof_of_before_and_after_holds(
    world: World, tmp_path: Path
) -> None:
    for path, treatment, subject in (("customer.email", "encrypt", "customer.id"), ("card", "redact", "")):
        privacy.add_rule(
            organization=world.acme, by=COMMAND_LINE, action="*", path=path, treatment=treatment, subject=subject
        )
    asked = world.check("stripe.refund", CONTEXT)
    world.decide(asked["approval_id"])
    claim = {"audience": EXECUTOR}
    taken = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", claim, Idempotency_Key="claim-1")
    assert taken.status_code == 200, taken.text
    sequence()

    keys = tmp_path / "keys.txt"
    keys.write_text(
        "".join(
            note.verifier_key(f"{signing.site()}/keys", bytes(key.public)) + "\n" for key in SigningKey.objects.all()
        )
    )
    kept = tmp_path / "kept.checkpoint"
    log = Log.objects.get(organization_id=world.acme.id, mode="live")
    kept.write_text(log.checkpoints.latest("size").note)
    event = Event.objects.get(kind="agent:check:ask")
    assert reveal_for_people(world.acme.id, event.data["context"])["customer"]["email"] == SECRET
    proof, body = keep_proof(tmp_path, event)
    before = export(tmp_path / "before")

    privacy.erase_subject(organization=world.acme, by=COMMAND_LINE, subject="cus_1", reason="Case 7.", typed="cus_1")
    assert SubjectKey.objects.count() == 1, "the organization's own, of what is withheld from everybody"
    shown = reveal_for_people(world.acme.id, event.data["context"])
    assert (shown["customer"]["email"], shown["card"]) == ({"$warden": "erased"}, {"$warden": "withheld"})
    world.check("stripe.refund", CONTEXT | {"amount": 5})
    sequence()

    after = export(tmp_path / "after")
    said = warden_verify(tmp_path / "after", "--public-key", keys, "--checkpoint", kept)
    assert {each["problem"] for each in said["logs"]} == {None}
    assert sum(each["receipts"] for each in said["logs"]) == 1
    warden_verify("--proof", proof, "--event", body, "--public-key", keys)
    for text in (*before.values(), *after.values(), proof.read_text(), body.read_text()):
        assert SECRET not in text
        assert CARD not in text
    [events] = [name for name in after if name.endswith("events.jsonl") and event.event_id in after[name]]
    assert after[events].startswith(before[events]), "what was exported before is there, byte for byte"
    assert '"$warden":["encrypted"' in event.body

    shown = world.get(f"/sdk/approvals/{asked['approval_id']}").json()
    receipt = verify_receipt(
        shown["claim"]["receipt"], keys.read_text().split("\n")[0], audience=EXECUTOR, used=UsedReceipts(),
        action="stripe.refund", context=shown["context"],
    )  # fmt: skip
    assert receipt.approval_id == asked["approval_id"]
