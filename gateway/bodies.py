"""What agents send and get, field by field. /api/openapi.json is made from these."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

# $ alone would let Python, though not the readers of the OpenAPI document, accept a line feed at the end.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]*$(?!\n)")]
Text = Annotated[str, Meta(max_length=20_000, pattern=r"^[^\x00]*$")]
Key = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]*$(?!\n)")]

# `allowed` and `error` are what the clients 0.1.x log by themselves.
LogStatus = Literal[
    "success", "failed", "denied", "blocked", "pending", "pending_approval", "allowed", "error", "cancelled"
]


class CheckBody(Struct):
    """May this agent do this now?"""

    agent_id: Name
    action: Name
    context: dict[str, Any] | None = None
    reasoning: Text | None = None
    idempotency_key: Key | None = None
    expires_in: Annotated[int, Meta(ge=1, le=2_592_000)] | None = None


class DataInput(Struct):
    """Who wants to do what to whom. Defaults are what an OPA calls undefined: denied."""

    caller_spiffe_id: Annotated[str, Meta(max_length=2_048)] = ""
    resource_spiffe_id: Annotated[str, Meta(max_length=2_048)] | None = None
    callee_spiffe_id: Annotated[str, Meta(max_length=2_048)] | None = None
    action: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]*$(?!\n)")] = ""
    timestamp: Any = None
    caller_trust_domain: Annotated[str, Meta(max_length=255)] | None = None
    resource_trust_domain: Annotated[str, Meta(max_length=255)] | None = None
    context: dict[str, Any] | None = None

    @property
    def callee(self) -> str:
        return self.callee_spiffe_id or self.resource_spiffe_id or ""


class DataBody(Struct):
    """A question as an OPA takes it."""

    input: DataInput = msgspec.field(default_factory=DataInput)


class DataResult(Struct, omit_defaults=True):
    """The object that `agentweave/authz` gives; `agentweave/authz/allow` gives its `allow` alone."""

    allow: bool
    reason: str
    policy_id: str
    permission: str | UnsetType = UNSET
    approval_id: str | UnsetType = UNSET
    approval_url: str | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET


class DataAnswer(Struct):
    """Act only on a 200 whose `result`, or whose `result.allow`, is true."""

    result: DataResult | bool
    decision_id: str


class DataError(Struct):
    """An error as an OPA says it."""

    code: str
    message: str


class LogBody(Struct):
    """What came of it."""

    agent_id: Name
    action: Name
    status: LogStatus
    context: dict[str, Any] | None = None
    approval_id: Name | None = None
    decision_id: Name | None = None
    ip_address: Annotated[str, Meta(max_length=64, pattern=r"^[0-9A-Fa-f:.%a-z]*$(?!\n)")] | None = None


class Attachment(Struct):
    """A text file, as evidence."""

    name: Name
    text: Annotated[str, Meta(min_length=1, max_length=65_536, pattern=r"^[^\x00]*$")]


class CommentBody(Struct):
    """What the agent says to the people who decide."""

    text: Annotated[str, Meta(min_length=1, max_length=4_000, pattern=r"^[^\x00]*$")]
    attachment: Attachment | None = None


class ClaimBody(Struct):
    """For whom the receipt is."""

    audience: Annotated[str, Meta(min_length=1, max_length=2_048, pattern=r"^[\x21-\x7e]*$(?!\n)")] | None = None


class AuditProof(Struct):
    """Where the record holds this decision."""

    event_id: str
    leaf_hash: str


class CheckAnswer(Struct, omit_defaults=True):
    """Act only on a 200 whose `allowed` is true."""

    allowed: bool
    requires_approval: bool
    reason: str
    status: Literal["allowed", "denied", "pending"]
    decision_id: str
    policy_version: str
    audit: AuditProof
    permission: str | UnsetType = UNSET
    approval_id: str | UnsetType = UNSET
    approval_url: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    effective_context: msgspec.Raw | UnsetType = UNSET
    code: str | UnsetType = UNSET
    grant_id: str | UnsetType = UNSET
    cacheable: bool = False


class LogAnswer(Struct):
    id: str
    agent_id: str
    organization_id: str
    action: str
    status: str
    context: dict[str, Any] | None
    created_at: str


class DecisionAnswer(Struct, omit_defaults=True):
    status: Literal["approved", "denied", "expired", "cancelled"]
    decided_at: str
    reason: str | UnsetType = UNSET
    decided_by: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class CommentAnswer(Struct, omit_defaults=True):
    """A question of a person, or an answer of the agent."""

    id: str
    by: str
    kind: Literal["question", "answer"]
    text: str
    created_at: str
    attachment: Attachment | UnsetType = UNSET


class ClaimAnswer(Struct, omit_defaults=True):
    claimed_at: str
    deadline_at: str
    digest: str
    receipt: str | UnsetType = UNSET


class ApprovalAnswer(Struct, omit_defaults=True):
    """One approval, as the agent that asked may see it."""

    id: str
    agent_id: str
    action: str
    status: Literal["pending", "approved", "denied", "expired", "cancelled"]
    created_at: str
    expires_at: str
    digest: str
    approval_url: str
    context: msgspec.Raw
    paused_at: str | UnsetType = UNSET
    effective_context: msgspec.Raw | UnsetType = UNSET
    decision: DecisionAnswer | UnsetType = UNSET
    claim: ClaimAnswer | UnsetType | None = UNSET
    comments: list[CommentAnswer] | UnsetType = UNSET


class WhoamiAnswer(Struct):
    """Whose key this is, and what it opens now."""

    key_id: str
    key_name: str
    organization_id: str
    mode: Literal["live", "test"]
    agent_id: str | None  # None: it speaks for every agent of the organization
    environment: str | None
    scopes: list[str]
    expires_at: str | None


class ErrorAnswer(Struct, omit_defaults=True):
    detail: str
    code: str | UnsetType = UNSET
