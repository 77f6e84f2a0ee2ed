"""sdk/typescript/test/receipts.json: receipts by Warden's own code, and what the Python client says to them.

    .venv/bin/python -m tests.client.receipt_vectors > sdk/typescript/test/receipts.json

The key is no secret: it is the bytes 0 to 31.
"""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from agentwarden import ReceiptError, UsedReceipts, verify_receipt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from approvals.holding import Held
from approvals.receipts import claims
from audit import note
from audit.canonical import canonical
from audit.ids import show_id
from audit.receipts import TYPE, _text, receipt

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
KEY = note.verifier_key("warden.example.com/live", PUBLIC)
OTHER = note.verifier_key("other", Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw())
AUDIENCE = "https://payments.example.com"
AT = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = {"amount": 312.5, "customer_id": "cus_ABC123"}
STRANGE: dict[str, Any] = {  # what two writers of RFC 8785 might write in two ways
    "numbers": [1e21, 1e20, 1e17, 2**53 - 1, 1e-6, 1e-7, -0.0, 0.1, 100.0, 5e-324, 1.7976931348623157e308],
    "\ufb33": "after 😀 as UTF-16 sorts",
    "😀": "before it",
    "": None,
    "ключ": '\x00\x1f\x7f\u2028\u2029"\\/<&',
    "__proto__": {"amount": 1},
    "10": True,
    "9": {"b": [], "a": {}},
}


def held(context: dict[str, Any]) -> Held:
    """An approval that was claimed."""
    day, plan = timedelta(days=1), uuid.UUID(int=7)
    return Held(
        id=uuid.UUID(int=1),
        organization_id=uuid.UUID(int=2),
        mode="live",
        agent_id=uuid.UUID(int=3),
        agent_slug="support-bot",
        action="stripe.refund",
        callee="",
        environment="production",
        context=canonical(context),
        permission="stripe.refund.large",
        digest="a" * 64,
        state="approved",
        created_at=AT - day,
        expires_at=AT + day,
        decided_at=AT - timedelta(minutes=1),
        decided_by_label="alice@example.com",
        reason="",
        claim_until=AT + timedelta(minutes=5),
        claimed_at=AT,
        lapsed_at=None,
        requesters=[plan],
    )


def said(context: dict[str, Any] = CONTEXT, **changes: Any) -> dict[str, Any]:
    """The claims of its receipt; a change to None leaves one out."""
    who = {
        "id": show_id("usr", uuid.UUID(int=4)),
        "email": "alice@example.com",
        "via": "browser",
        "assurance": "browser",
    }
    all_of_it = claims(held(context), [who | {"at": "2025-12-31T23:59:00Z"}], "pv_1", AUDIENCE) | changes
    return {name: value for name, value in all_of_it.items() if value is not None}


def signed(told: dict[str, Any]) -> str:
    """The receipt as the sequencer signs it."""
    event = {"id": show_id("evt", uuid.UUID(int=5)), "data": {"receipt": told}}
    return receipt(canonical(event), "warden.example.com/live", 41, PRIVATE)


def by_hand(header: dict[str, Any] | str, payload: str | None = None) -> str:
    """One that only a signer with Warden's key could make, and does not."""
    head = header if isinstance(header, str) else canonical(header)
    body = signed(said()).split(".")[1] if payload is None else _text(payload.encode())
    text = f"{_text(head.encode())}.{body}"
    return f"{text}.{_text(PRIVATE.sign(text.encode()))}"


def cases() -> list[dict[str, Any]]:
    """Receipts, what is asked of them, and no verdict yet."""
    head = {"alg": "EdDSA", "typ": TYPE}
    now = int(AT.timestamp())
    good = {"token": signed(said()), "public_key": KEY, "audience": AUDIENCE, "now": now}
    return [
        {"name": "a good one", **good, "agent": "support-bot", "action": "stripe.refund", "context": CONTEXT},
        {"name": "of which less is asked", **good},
        {"name": "by a key in base64", **good, "public_key": note.encode(PUBLIC)},
        {"name": "by one of two keys", **good, "public_key": [OTHER, KEY]},
        {"name": "by another key", **good, "public_key": OTHER},
        {"name": "by no key", **good, "public_key": []},
        {"name": "by a key that is none", **good, "public_key": "nonsense"},
        {"name": "with the newer name of the algorithm", **good, "token": by_hand(head | {"alg": "Ed25519"})},
        {"name": "without a key id", **good, "token": by_hand(head)},
        *(
            {"name": f"of the algorithm {alg!r}", **good, "token": by_hand(head | {"alg": alg})}
            for alg in ("none", "HS256", "eddsa", "Ed448", "", None, ["EdDSA"])
        ),
        {"name": "of another type", **good, "token": by_hand(head | {"typ": "JWT"})},
        {"name": "of no type", **good, "token": by_hand({"alg": "EdDSA"})},
        {"name": "with a header to be understood", **good, "token": by_hand(head | {"crit": ["exp"]})},
        {"name": "with a key of its own", **good, "token": by_hand(head | {"jwk": {"kty": "OKP"}})},
        {"name": "whose header is a list", **good, "token": by_hand("[]")},
        {"name": "whose header is no JSON", **good, "token": by_hand("{")},
        {"name": "whose claims are a text", **good, "token": by_hand(head, '"yes"')},
        {"name": "whose claims are empty", **good, "token": by_hand(head, "{}")},
        *(
            {"name": f"without {name}", **good, "token": signed(said(**{name: None}))}
            for name in ("sub", "aud", "agent", "action", "digest", "context_sha256", "policy_version")
        ),
        *(
            {"name": f"with {name} as {value!r}", **good, "token": signed(said(**{name: value}))}
            for name, value in (
                ("exp", "late"),
                ("exp", True),
                ("iat", [now]),
                ("approved_at", {}),
                ("aud", [AUDIENCE]),
                ("sub", ""),
                ("approvers", []),
                ("approvers", ["alice@example.com"]),
                ("approvers", {"0": {}}),
            )
        ),
        {"name": "for another audience", **good, "audience": "https://other.example.com"},
        {"name": "for an audience that only begins so", **good, "audience": AUDIENCE + "/"},
        {"name": "of another agent", **good, "agent": "other-bot"},
        {"name": "of another action", **good, "action": "stripe.payout"},
        {"name": "of another amount", **good, "context": CONTEXT | {"amount": 3125}},
        {"name": "of more than was approved", **good, "context": CONTEXT | {"note": ""}},
        {"name": "of less than was approved", **good, "context": {"amount": 312.5}},
        {"name": "of an empty context", **good, "context": {}},
        {"name": "of an empty context that was approved", **good, "token": signed(said({})), "context": {}},
        {"name": "of a strange context", **good, "token": signed(said(STRANGE)), "context": STRANGE},
        {"name": "of a text for a number", **good, "context": CONTEXT | {"amount": "312.5"}},
        {"name": "at its last second", **good, "now": now + 300 + 30},
        {"name": "a second too late", **good, "now": now + 300 + 31},
        {"name": "at its first second", **good, "now": now - 30},
        {"name": "a second too early", **good, "now": now - 31},
        {"name": "outside the rule, by break-glass", **good, "token": signed(said(outside_rule="break_glass"))},
    ]


def verdict(case: dict[str, Any]) -> str | None:
    """Why the Python client refuses it; None: it takes it."""
    asked = {name: case[name] for name in ("audience", "agent", "action", "context", "now") if name in case}
    try:
        verify_receipt(case["token"], case["public_key"], used=UsedReceipts(), **asked)
    except ReceiptError as error:
        return str(error)
    return None


def vectors() -> dict[str, Any]:
    """The whole file."""
    return {"cases": [{**case, "refused": verdict(case)} for case in cases()]}


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
