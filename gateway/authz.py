"""OPA's Data API: AgentWeave's agents, and whoever speaks to an OPA, ask Warden what they would ask their OPA.

The caller is an agent, by its SPIFFE ID; the callee and the action are matched by its permissions. What is asked goes
the way of a check: the same lanes, the same record, the same approvals.
"""

import msgspec
from django.conf import settings
from msgspec import UNSET

from agents.load import KeyFacts, Loaded
from agents.spiffe import names, trust
from gateway import metrics
from gateway.answers import Answer, encode
from gateway.bodies import CheckAnswer, CheckBody, DataAnswer, DataBody, DataError, DataInput, DataResult
from gateway.jobs import Check, Refusal, named_agent
from gateway.parse import Malformed, parse

PATH = "agentweave/authz"
BARE = "agentweave"  # an action without a dot, as AgentWeave's capabilities are, is agentweave.<action>
REASONS = {
    "invalid_input": "The input is not what an authorization question looks like: {detail}",
    "untrusted_domain": "The trust domain is not one that is trusted here",
    "unknown_caller": "Unknown caller",
}


class Query(Check):
    """One question. `problem` is why it is denied whatever the policy says, with a detail for its asker."""

    __slots__ = ("denied", "detail", "is_object", "problem")
    endpoint = "authz"
    scope_needed = "authz:query"

    def __init__(self, key_hash: bytes, body: bytes, *, is_object: bool) -> None:
        """Reads `body`. Raises Malformed where it is no JSON object."""
        said, self.problem, self.detail = _read(body)
        caller, callee, action = said.caller_spiffe_id, said.callee, said.action
        super().__init__(key_hash, CheckBody(caller, action, said.context or {}), None)
        self.callee = callee
        self.is_object = is_object
        self.denied = ""  # the code of a denial, once it is known

    @property
    def capability(self) -> str:
        """The permission that matched, as AgentWeave calls it."""
        return (self.counted or metrics.REPEATED)[1].removeprefix(f"{BARE}.")

    def refusal(self, key: KeyFacts, loaded: Loaded) -> Refusal | None:
        """Why the policy is not asked: the question is none, or nobody here asks it."""
        code = self.problem
        if not code and not (_trusted(self.body.agent_id, loaded) and _trusted(self.callee, loaded)):
            code = "untrusted_domain"
        if not code and named_agent(key, loaded, self.body.agent_id):
            code = "unknown_caller"  # also where it is another key's agent: who asks learns nothing of it
        return Refusal(code, Answer(200, b"")) if code else None

    def refused(self, refusal: Refusal, decision_id: str) -> Answer:
        self.denied = refusal.code
        reason = REASONS[refusal.code].format(detail=self.detail)
        return self._say(DataResult(allow=False, reason=reason, policy_id=refusal.code), decision_id)

    def answer_of(self, said: CheckAnswer, code: str) -> Answer:
        self.denied = "" if said.allowed else code
        result = DataResult(
            allow=said.allowed,
            reason=said.reason,
            policy_id=said.policy_version,
            permission=said.permission,
            approval_id=said.approval_id,
            approval_url=said.approval_url,
            requires_approval=True if said.requires_approval else UNSET,
        )
        return self._say(result, said.decision_id)

    def _say(self, result: DataResult, decision_id: str) -> Answer:
        return Answer(200, encode(DataAnswer(result if self.is_object else result.allow, decision_id)))


def form_of(path: str, loaded: Loaded) -> bool | None:
    """Whether a path below /v1/data is answered with an object (else with a boolean); None for one nobody mapped."""
    for known in (PATH, *loaded.authz_paths):
        if path == known:
            return True
        if path == f"{known}/allow":
            return False
    return None


def as_opa(answer: Answer) -> Answer:
    """An error in the form of OPA's: {"code": …, "message": …}."""
    said, status = msgspec.json.decode(answer.body), 400 if answer.status == 422 else answer.status
    code = {400: "invalid_parameter", 401: "unauthorized", 404: "undefined_document", 413: "invalid_parameter"}.get(
        status, "internal_error" if status >= 500 else "invalid_operation"
    )
    return Answer(status, encode(DataError(code, said["detail"])), answer.headers)


def _read(body: bytes) -> tuple[DataInput, str, str]:
    """The input, and what is wrong with it: a code and a detail. A question that is none is denied, as by an OPA whose
    rules find nothing in their input. Raises Malformed where it is no JSON object."""
    value = parse(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise Malformed('The body is no JSON object: send {"input": …}')
    try:
        said = msgspec.convert(value, DataBody, strict=True).input
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        return DataInput(), "invalid_input", f"{place.rstrip('`')}: {message}" if place else message
    try:
        caller, callee = names.parse(said.caller_spiffe_id), names.parse(said.callee) if said.callee else None
    except ValueError as error:
        return DataInput(action=said.action), "invalid_input", str(error)
    problem = _contradiction(said, caller, callee)
    if "." not in said.action:
        said.action = f"{BARE}.{said.action}"
    return said, "invalid_input" if problem else "", problem


def _contradiction(said: DataInput, caller: names.SpiffeId, callee: names.SpiffeId | None) -> str:
    """What of the input speaks against the rest of it; empty where nothing does."""
    if not said.action:
        return "input.action: missing"
    if said.resource_spiffe_id and said.callee_spiffe_id and said.resource_spiffe_id != said.callee_spiffe_id:
        return "input.callee_spiffe_id: differs from resource_spiffe_id"
    for named, of, which in (
        (said.caller_trust_domain, caller, "caller"),
        (said.resource_trust_domain, callee, "resource"),
    ):
        if named and (of is None or named != of.trust_domain):
            return f"input.{which}_trust_domain: not that of the {which}"
    return ""


def _trusted(spiffe_id: str, loaded: Loaded) -> bool:
    """Whether this name belongs to a trust domain that speaks for this organization; no name needs none."""
    return not spiffe_id or trust.speaks_for(
        names.parse(spiffe_id).trust_domain, loaded.slug, settings.SPIFFE_TRUST_DOMAINS
    )
