"""Where the external OPA is, what it is asked, what its answers mean, and what they make of a decision. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from agents.policy import Decision, Looked, plain
from audit.canonical import canonical

NAME = "external OPA"  # in traces, where permissions have theirs
DENIED = "Denied by the external policy"
REFUSALS = ("opa_denied", "opa_failed")  # codes of decisions
SAID = 300  # characters of a reason
Outcome = Literal["allow", "ask", "deny", "failed"]
VERDICTS: Mapping[Outcome, str] = {
    "allow": "opa_agrees",
    "ask": "opa_asks",
    "deny": "opa_denies",
    "failed": "opa_failed",
}


@dataclass(frozen=True, slots=True)
class Gate:
    """One organization's OPA. The files lie in `folder` of OPA_CREDENTIALS_DIR; empty: none."""

    url: str
    timeout_ms: int
    folder: str
    token_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    @property
    def content(self) -> dict[str, Any]:
        """What of it is part of the policy, and of its version."""
        return {
            "url": self.url,
            "timeout_ms": self.timeout_ms,
            "token_file": self.token_file,
            "ca_file": self.ca_file,
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
        }


@dataclass(frozen=True, slots=True)
class OpaSaid:
    """What it said: `reason` is for the agent, `because` for the record, which also holds why it failed."""

    outcome: Outcome
    reason: str = ""
    because: str = ""
    milliseconds: int = 0

    @property
    def bare(self) -> "OpaSaid":
        """Without its words, which may name a value that is kept covered."""
        reason = DENIED if self.outcome == "deny" else self.reason if self.outcome == "failed" else ""
        return replace(self, reason=reason, because=self.because if self.outcome == "failed" else "")

    @property
    def facts(self) -> dict[str, Any]:
        """For the record."""
        return {"said": self.outcome, "reason": self.because or self.reason, "milliseconds": self.milliseconds}


def failed(because: str) -> OpaSaid:
    """It gave no answer that means anything, whatever the cause: a denial."""
    return OpaSaid("failed", "The external policy gave no answer", because[:SAID])


def question(
    *,
    organization: str,
    mode: str,
    spiffe_id: str | None,
    slug: str,
    action: str,
    context: Mapping[str, Any],
    environment: str | None,
    callee: str | None,
    amount: Decimal | None,
    currency: str | None,
    permission: str | None,
    risk: str | None,
    decision: str,
    claiming: bool = False,
) -> str:
    """The body of the question: canonical JSON, so that the same question is the same text."""
    asked: dict[str, Any] = {
        "organization": organization,
        "mode": mode,
        "agent": slug,
        "caller_spiffe_id": spiffe_id,
        "resource_spiffe_id": callee,
        "action": action,
        "context": context,
        "environment": environment,
        "amount": None if amount is None else plain(amount),
        "currency": currency,
        "permission": permission,
        "risk": risk,
        "decision": decision,
        "claim": claiming,
    }
    return canonical({"input": asked})


def read_answer(status: int, body: bytes) -> OpaSaid:
    """What an answer of OPA's Data API means: `{"result": true}`, or an object with `allow`, and `requires_approval`
    and `reason` where it has them. Whatever else it is, it denies."""
    if status != 200:
        return failed(f"It answered {status}")
    try:
        said = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return failed("Its answer is no JSON")
    if not isinstance(said, dict) or "result" not in said:
        return failed("Its answer has no result: nothing is defined at this path, or not for this input")
    result = said["result"]
    if isinstance(result, bool):
        return OpaSaid("allow") if result else OpaSaid("deny", DENIED)
    if not isinstance(result, dict):
        return failed("Its result is neither true or false nor an object with allow")
    allow, asks, words = result.get("allow"), result.get("requires_approval", False), result.get("reason", "")
    if not isinstance(allow, bool) or not isinstance(asks, bool) or not isinstance(words, str):
        return failed("Its result has no allow that is true or false, or another field of a wrong type")
    words = "".join(letter if letter.isprintable() else " " for letter in words)[:SAID].strip()
    if asks:
        return OpaSaid("ask", words)
    if allow:
        return OpaSaid("allow", words)
    return OpaSaid("deny", f"{DENIED}: {words}" if words else DENIED, words)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def tighten(decision: Decision, said: OpaSaid) -> Decision:
    """The decision after what the external OPA said: never looser than before."""
    if decision.outcome == "deny":
        return decision
    denies = said.outcome in ("deny", "failed")
    asks = said.outcome == "ask" and decision.outcome == "allow"
    because = {
        "allow": "It agrees",
        "ask": "It wants a person to approve",
        "deny": "It denies, and a deny wins",
        "failed": "It gave no answer, which denies",
    }[said.outcome]
    detail = said.because or said.reason
    line = Looked(NAME, NAME, denies or asks, VERDICTS[said.outcome], f"{because}: {detail}" if detail else because)
    decision = replace(decision, trace=(*decision.trace, line), conditional=True)
    if denies:
        return replace(
            decision,
            outcome="deny",
            code="opa_failed" if said.outcome == "failed" else "opa_denied",
            reason=said.reason,
        )
    if asks:
        return replace(decision, outcome="ask", code="requires_approval", reason="This action requires human approval")
    return decision
