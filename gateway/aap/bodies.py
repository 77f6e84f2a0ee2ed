"""What AAP clients send and get, field by field. /aap/openapi.json is made from these."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.bodies import Text

Tool = Annotated[str, Meta(min_length=1, max_length=200)]
Duration = Annotated[str, Meta(max_length=12, pattern=r"^[1-9][0-9]*[smh]$(?!\n)")]
Note = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
InstanceName = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Uuid = Annotated[
    str, Meta(pattern=r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$(?!\n)")
]
Secret = Annotated[str, Meta(pattern=r"^whsec_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$(?!\n)")]
Status = Literal["pending", "approved", "denied", "expired", "cancelled"]


class CallBody(Struct, forbid_unknown_fields=True):
    """May this call of a tool run?"""

    tool: Tool
    arguments: dict[str, Any]
    timeout: Duration
    server: Tool | UnsetType = UNSET
    agent_reasoning: Text | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET


class RawCall(Struct):
    """The parts that are kept as they were sent."""

    arguments: msgspec.Raw
    context: msgspec.Raw | UnsetType = UNSET


class OutcomeBody(Struct, forbid_unknown_fields=True):
    """What came of it."""

    status: Literal["succeeded", "failed"]
    note: Note | UnsetType = UNSET


class Decision(Struct, omit_defaults=True):
    status: Literal["approved", "denied", "expired", "cancelled"]
    decided_at: str
    note: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET


class Outcome(Struct, omit_defaults=True):
    status: Literal["succeeded", "failed"]
    reported_at: str
    note: str | UnsetType = UNSET


class Consumption(Struct, omit_defaults=True):
    consumed_at: str
    outcome: Outcome | UnsetType = UNSET


class CallAnswer(Struct, omit_defaults=True):
    """The request as it is now. Run the call only after a 200 of `consume`."""

    id: str
    tool: str
    arguments: msgspec.Raw
    timeout: str
    status: Status
    created_at: str
    deadline_at: str
    server: str | UnsetType = UNSET
    agent_reasoning: str | UnsetType = UNSET
    context: msgspec.Raw | UnsetType = UNSET
    decision: Decision | UnsetType = UNSET
    consumption: Consumption | UnsetType = UNSET


class DeliveryBody(Struct, forbid_unknown_fields=True):
    """Where an instance is told that a request was decided."""

    type: str
    url: Annotated[str, Meta(min_length=1, max_length=2_048)]
    registration_id: Uuid
    signing_secret: Secret


class InstanceBody(Struct, forbid_unknown_fields=True):
    instance_name: InstanceName | UnsetType = UNSET
    delivery: DeliveryBody | UnsetType = UNSET


class InstanceChange(Struct, forbid_unknown_fields=True):
    instance_name: InstanceName | UnsetType = UNSET
    delivery: DeliveryBody | UnsetType | None = UNSET


class ReceiverAnswer(Struct):
    url: str
    registration_id: str
    type: Literal["webhook"] = "webhook"


class InstanceAnswer(Struct, omit_defaults=True):
    id: str
    name: str
    delivery: ReceiverAnswer | UnsetType = UNSET


class CredentialAnswer(Struct, omit_defaults=True):
    token: str
    expires_at: str | UnsetType = UNSET


class ProvisionedAnswer(Struct):
    instance: InstanceAnswer
    credential: CredentialAnswer


class ErrorFacts(Struct):
    type: Literal[
        "invalid_request", "authentication", "authorization", "not_found", "conflict", "rate_limit", "internal",
        "dependency",
    ]  # fmt: skip
    code: str
    message: str
    request_id: str


class Failure(Struct):
    """An error. None of them is an approval."""

    error: ErrorFacts
