"""Receipts: a claim answers one, a second JOSE library reads it, and nothing else passes for it."""

import uuid

import httpx
import pytest
from agentwarden import ReceiptError, UsedReceipts, verify_receipt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OKPKey

from approvals.models import Approval
from approvals.services import review
from audit import note, receipts, signing
from audit.canonical import canonical
from audit.ids import show_id
from audit.log import Leaf, Log, Receipt, SigningKey
from audit.models import Event
from tests import factories
from tests.audit.sequencing import Process, sequence, wait_for
from tests.docs.pages import blocks
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
CONTEXT = {"amount": 312.5, "customer_id": "cus_ABC123"}
PAYMENTS = "https://payments.example.com"


@pytest.fixture(autouse=True)
def home(tmp_path, settings) -> None:
    settings.WARDEN_HOME = tmp_path


class Desk:
    """An agent that asked, a person who approves, and the agents' door."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.acme = factories.an_organization()
        factories.a_rule(self.acme, is_default=True)
        self.approver = factories.a_member(self.acme, "approver")
        self.bot = factories.an_agent(self.acme, owner=factories.a_member(self.acme, "owner"))
        factories.a_permission(self.bot, "stripe.refund", "ask")
        self.headers = {"X-API-Key": factories.a_key(self.acme, self.bot)[1]}

    def check(self) -> dict:
        body = {"agent_id": self.bot.slug, "action": "stripe.refund", "context": CONTEXT}
        return httpx.post(f"{self.url}/sdk/check", json=body, headers=self.headers).raise_for_status().json()

    def approved(self) -> str:
        approval_id = self.check()["approval_id"]
        approval = Approval.objects.latest("id")
        review(
            approval_id=approval.id,
            by=self.approver,
            organization=self.acme,
            verdict="approve",
            reason="",
            digest=approval.digest,
            via="browser",
        )
        return approval_id

    def claim(self, approval_id: str, **body: str) -> dict:
        headers = self.headers | {"Idempotency-Key": uuid.uuid4().hex}
        path = f"{self.url}/sdk/approvals/{approval_id}/claim"
        return httpx.post(path, json=body, headers=headers, timeout=20).raise_for_status().json()

    def look(self, approval_id: str) -> dict:
        return httpx.get(f"{self.url}/sdk/approvals/{approval_id}", headers=self.headers).raise_for_status().json()


@pytest.fixture
def desk(server: Server) -> Desk:
    return Desk(server)


def public_key() -> str:
    return note.verifier_key("warden", bytes(SigningKey.objects.get().public))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by RFC 9864; most libraries know no other name yet
def test_a_claim_answers_with_a_receipt_that_says_who_approved_what(desk: Desk, tmp_path) -> None:
    with Process(str(tmp_path)):
        approval_id = desk.approved()
        sequenced(desk)
        claim = desk.claim(approval_id, audience=PAYMENTS)["claim"]
    token = claim["receipt"]
    used = UsedReceipts()
    receipt = verify_receipt(token, public_key(), audience=PAYMENTS, used=used, action="stripe.refund", context=CONTEXT)
    event = Event.objects.get(kind="agent:approval:claim")
    assert receipt.approval_id == approval_id
    assert (receipt.event_id, receipt.index) == (event.event_id, Leaf.objects.get(event_id=event.id).index)
    assert receipt.log == Log.objects.get(mode="live").origin
    assert receipt.digest == claim["digest"] == Approval.objects.get().digest
    assert [who["email"] for who in receipt.approvers] == [desk.approver.email]
    assert receipt.approvers[0]["assurance"] == Approval.objects.get().reviews.get().assurance
    assert receipt.policy_version == event.data["policy_version"]
    with pytest.raises(ReceiptError, match="used already"):
        verify_receipt(token, public_key(), audience=PAYMENTS, used=used)

    public = bytes(SigningKey.objects.get().public)
    read = jwt.decode(token, OKPKey.import_key(receipts.jwk(public)), algorithms=["EdDSA"])
    assert read.header == {"alg": "EdDSA", "kid": receipts.thumbprint(public), "typ": receipts.TYPE}
    assert read.claims == receipt.claims


def sequenced(desk: Desk) -> None:
    """Waits until a sequencer is at work."""
    wait_for(lambda: Log.objects.filter(organization_id=desk.acme.id).exists())


def test_without_a_sequencer_a_claim_is_answered_and_its_receipt_comes_later(desk: Desk) -> None:
    approval_id = desk.approved()
    assert "receipt" not in desk.claim(approval_id)["claim"]
    assert "receipt" not in desk.look(approval_id)["claim"]
    sequence()
    token = desk.look(approval_id)["claim"]["receipt"]
    receipt = verify_receipt(token, public_key(), audience=show_id("org", desk.acme.id), used=UsedReceipts())
    assert receipt.approval_id == approval_id


def test_an_identical_check_that_claims_has_a_receipt_too(desk: Desk) -> None:
    approval_id = desk.approved()
    assert desk.check()["allowed"]
    sequence()
    assert desk.look(approval_id)["claim"]["receipt"] == Receipt.objects.get().token


def test_what_is_altered_late_or_for_somebody_else_is_refused(desk: Desk) -> None:
    desk.claim(desk.approved(), audience=PAYMENTS)
    sequence()
    token, key = Receipt.objects.get().token, public_key()

    def refused(text: str, because: str, **more: object) -> None:
        values = {"audience": PAYMENTS, "used": UsedReceipts()} | more
        with pytest.raises(ReceiptError, match=because):
            verify_receipt(text, values.pop("public_key", key), **values)

    good = verify_receipt(token, key, audience=PAYMENTS, used=UsedReceipts())
    for place, letter in enumerate(token):
        for other in {"A", "B", chr(ord(letter) ^ 1)} - {letter}:
            refused(token[:place] + other + token[place + 1 :], ".")
    for cut in (token[:-1], token + "=", token + ".", token[1:], "", token.replace(".", "..", 1)):
        refused(cut, "no receipt|no key")
    refused(token, "another audience", audience="https://other.example.com")
    refused(token, "expired", now=good.expires_at + 31)
    refused(token, "not valid yet", now=good.claimed_at - 31)
    refused(token, "another action", action="stripe.payout")
    refused(token, "another agent", agent="other-bot")
    refused(token, "expired", now=float("nan"))
    refused(token, "not what was approved", context=CONTEXT | {"amount": 3125})
    refused(token, "no key that you trust", public_key=note.encode(bytes(range(32))))
    unsigned = receipts._text(b'{"alg":"none","typ":"warden-receipt+jwt"}') + "." + token.split(".")[1] + "."
    refused(unsigned, "another")


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_the_algorithm_may_have_its_old_name_or_its_new_one_and_no_other(desk: Desk, algorithm: str) -> None:
    desk.claim(desk.approved(), audience=PAYMENTS)
    sequence()
    claims = verify_receipt(Receipt.objects.get().token, public_key(), audience=PAYMENTS, used=UsedReceipts()).claims
    pem = signing.read(signing.key_file().read_text()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own = OKPKey.import_key(pem)
    token = jwt.encode({"alg": algorithm, "typ": receipts.TYPE}, dict(claims), own, algorithms=[algorithm])
    assert verify_receipt(token, public_key(), audience=PAYMENTS, used=UsedReceipts()).claims == claims
    for other in ("Ed448", "eddsa", "HS256", ""):
        header = receipts._text(canonical({"alg": other, "typ": receipts.TYPE}).encode())
        with pytest.raises(ReceiptError, match="its header is another"):
            verify_receipt(f"{header}.{token.partition('.')[2]}", public_key(), audience=PAYMENTS, used=UsedReceipts())


def test_the_executor_of_the_page_pays_what_was_approved_and_once(desk: Desk, tmp_path, monkeypatch) -> None:
    """docs/record.md."""
    monkeypatch.chdir(tmp_path)
    desk.claim(desk.approved(), audience=PAYMENTS)
    sequence()
    token = Receipt.objects.get().token
    [example] = [block.text for block in blocks("docs/record.md", "python") if block.label == "executor"]
    names = {"WARDEN_KEY": public_key()}
    exec(example, names)
    with pytest.raises(ReceiptError, match="not what was approved"):
        names["refund"](3125, token)
    names["refund"](312.5, token)
    with pytest.raises(ReceiptError, match="used already"):
        names["refund"](312.5, token)


def test_only_true_says_that_a_receipt_was_not_used(desk: Desk) -> None:
    desk.claim(desk.approved(), audience=PAYMENTS)
    sequence()
    token, key = Receipt.objects.get().token, public_key()
    for answer in (False, None, 1, "yes", object()):
        with pytest.raises(ReceiptError, match="used already"):
            verify_receipt(token, key, audience=PAYMENTS, used=lambda *_, answer=answer: answer)


def test_used_receipts_are_remembered_by_every_process_that_shares_the_file(tmp_path) -> None:
    one, other = UsedReceipts(tmp_path / "used.db"), UsedReceipts(tmp_path / "used.db")
    late = 2**40
    assert one("evt_1", late)
    assert not other("evt_1", late)
    assert not UsedReceipts(tmp_path / "used.db")("evt_1", late)


def test_the_key_of_the_receipts_is_the_key_of_the_log() -> None:
    sequence()
    private = signing.read(signing.key_file().read_text())
    assert private.public_key().public_bytes_raw() == bytes(SigningKey.objects.get().public)
