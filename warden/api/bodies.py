"""What scripts send to /api, field by field. Unknown ones are refused; in a change, what is left out stays as it is.

Structs of one module alone are kept beside its calls."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Text = Annotated[str, Meta(max_length=50_000, pattern=r"^[^\x00]*$")]
PLAIN = r"^[^\x00\r\n]*$(?!\n)"  # $ alone would let a line feed pass at the end
Line = Annotated[str, Meta(max_length=2_048, pattern=PLAIN)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset.")]
Status = Literal["active", "suspended", "banned"]
Effect = Literal["allow", "ask", "deny"]
Risk = Literal["low", "medium", "high", "critical"]
Role = Literal["owner", "admin", "approver", "auditor", "viewer"]
Assurance = Literal["slack", "browser", "stepup"]
Mode = Literal["live", "test"]
Severity = Literal["info", "warning", "critical"]
Amount = Annotated[Decimal, Meta(description="A number, or a string where a double would not be exact.")]
Owner = Annotated[Line | None, Meta(description="E-mail of the member who owns it.")]
OwnerTeam = Annotated[Line | None, Meta(description="Slug of the team that owns it.")]
RuleId = Annotated[Line | None, Meta(description="rul_…; null: the organization's default.")]


class Paging(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=500)] = 500
    offset: Annotated[int, Meta(ge=0, le=10_000)] = 0


class AgentsQuery(Paging):
    status: Status | None = None


class Limits(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Budgets, counted per hour, day and month of the calendar (UTC). What is left out is not limited."""

    count_per_hour: Annotated[int, Meta(ge=0)] | None = None
    count_per_day: Annotated[int, Meta(ge=0)] | None = None
    count_per_month: Annotated[int, Meta(ge=0)] | None = None
    total_per_hour: Amount | None = None
    total_per_day: Amount | None = None
    total_per_month: Amount | None = None


MaxPending = Annotated[
    int, Meta(ge=1, le=100_000, description="How many of its requests may wait for people, live and test each.")
]
Currency = Annotated[Line, Meta(description="ISO 4217; of the totals among `limits`.")]


class NewAgent(Struct, forbid_unknown_fields=True):
    """A new agent. It may do nothing until it has permissions."""

    name: Annotated[Line, Meta(examples=["Support bot"])]
    slug: Annotated[Line, Meta(description="Made of the name when empty.", examples=["support-bot"])] = ""
    purpose: Line = ""
    owner_email: Owner = None
    owner_team: OwnerTeam = None
    notes: Text = ""
    documentation: Annotated[Text, Meta(description="Markdown.")] = ""
    spiffe_id: Line | None = None
    limits: Limits | UnsetType = UNSET
    limit_currency: Currency = ""
    max_pending: MaxPending | UnsetType = UNSET


class ChangeAgent(Struct, forbid_unknown_fields=True):
    """What changes. The slug stays."""

    name: Line | UnsetType = UNSET
    purpose: Line | UnsetType = UNSET
    owner_email: Owner | UnsetType = UNSET
    owner_team: OwnerTeam | UnsetType = UNSET
    notes: Text | UnsetType = UNSET
    documentation: Text | UnsetType = UNSET
    spiffe_id: Line | UnsetType | None = UNSET
    limits: Annotated[Limits | UnsetType, Meta(description="All of them, in place of those there were.")] = UNSET
    limit_currency: Currency | UnsetType = UNSET
    max_pending: MaxPending | UnsetType = UNSET
    status: Annotated[Status | UnsetType, Meta(description="Holds for every check from now on.")] = UNSET
    status_reason: Annotated[Text, Meta(description="Why the status changes: for the record.")] = ""


class ChangePermission(Struct, forbid_unknown_fields=True):
    """What changes in a tier. `requires_approval` is another way to say `effect`: true is ask, false is allow."""

    action: Annotated[Line, Meta(examples=["stripe.refund.small"])] | UnsetType = UNSET
    effect: Effect | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET
    max_amount: Annotated[Amount | UnsetType | None, Meta(examples=[100])] = UNSET
    currency: Annotated[Line, Meta(description="ISO 4217; empty: any.", examples=["USD"])] | UnsetType = UNSET
    environment: Annotated[Line, Meta(description="Empty: every one.")] | UnsetType = UNSET
    condition: Annotated[Text, Meta(description="CEL; empty: always.")] | UnsetType = UNSET
    callee: Annotated[Line, Meta(description="SPIFFE ID; empty: any.")] | UnsetType = UNSET
    risk: Risk | UnsetType = UNSET
    approval_rule: RuleId | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    limits: Annotated[Limits | UnsetType, Meta(description="All of them, in place of those there were.")] = UNSET
    notes: Line | UnsetType = UNSET


class SignGlass(Struct, forbid_unknown_fields=True):
    verdict: Literal["justified", "unjustified"]
    note: Annotated[Text, Meta(description="What you found. The record keeps it.")]
    typed: Annotated[
        Line, Meta(description="The organization's slug, where you sign off your own: without others.")
    ] = ""


class HabitsQuery(Struct, forbid_unknown_fields=True):
    mode: Mode = "live"
    days: Annotated[int, Meta(ge=1, le=90, description="So many days (UTC), today included.")] = 30


class BudgetsQuery(Struct, forbid_unknown_fields=True):
    mode: Mode = "live"


class NewPermission(Struct, forbid_unknown_fields=True):
    """A new tier. Without `effect` and `requires_approval` it allows."""

    action: Annotated[Line, Meta(examples=["stripe.refund.small"])]
    effect: Effect | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET
    max_amount: Annotated[Amount | None, Meta(examples=[100])] = None
    currency: Annotated[Line, Meta(description="ISO 4217; empty: any.", examples=["USD"])] = ""
    environment: Annotated[Line, Meta(description="Empty: every one.")] = ""
    condition: Annotated[Text, Meta(description="CEL; empty: always.")] = ""
    callee: Annotated[Line, Meta(description="SPIFFE ID; empty: any.")] = ""
    risk: Risk = "low"
    approval_rule: RuleId = None
    expires_at: Moment | None = None
    limits: Limits | UnsetType = UNSET
    notes: Line = ""


class KeysQuery(Paging):
    mode: Mode | None = None
    agent_id: Annotated[str | None, Meta(description="Slug or id.")] = None


class NewKey(Struct, forbid_unknown_fields=True):
    name: Annotated[Line, Meta(examples=["Production worker"])]
    mode: Mode = "live"
    agent_id: Annotated[Line | None, Meta(description="Slug or id; null: every agent of the organization.")] = None
    environment: Line = ""
    scopes: Annotated[list[Line], Meta(max_length=10, description="sdk (if left out), authz:query.")] | UnsetType = (
        UNSET
    )
    rate_limit: Annotated[int, Meta(ge=1, description="Requests a minute.")] | None = None
    expires_at: Moment | None = None


class RollKey(Struct, forbid_unknown_fields=True):
    overlap_hours: Annotated[int, Meta(ge=0, le=168, description="How long the old key goes on working.")] = 24


class Step(Struct, forbid_unknown_fields=True):
    """Who may decide too, once nobody did for so long; they are told."""

    after_minutes: Annotated[int, Meta(ge=1, le=43_200)]
    roles: list[Role] = []
    teams: Annotated[list[Line], Meta(max_length=50, description="Slugs.")] = []
    people: Annotated[list[Line], Meta(max_length=50, description="E-mail addresses of members.")] = []


class Way(Struct, forbid_unknown_fields=True):
    """Another way to satisfy a rule: so many approvals, by these."""

    approvals: Annotated[int, Meta(ge=1, le=10)] = 1
    roles: list[Role] = []
    teams: Annotated[list[Line], Meta(max_length=50, description="Slugs.")] = []
    people: Annotated[list[Line], Meta(max_length=50, description="E-mail addresses of members.")] = []


class ChangeRule(Struct, forbid_unknown_fields=True):
    name: Line | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    roles: Annotated[list[Role], Meta(description="Who decides; so do `teams` and `people`.")] | UnsetType = UNSET
    teams: Annotated[list[Line], Meta(max_length=50, description="Slugs.")] | UnsetType = UNSET
    people: Annotated[list[Line], Meta(max_length=50, description="E-mail addresses of members.")] | UnsetType = UNSET
    approvals: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    alternatives: Annotated[list[Way], Meta(max_length=5)] | UnsetType = UNSET
    denials: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    reason_to_approve: bool | UnsetType = UNSET
    reason_to_deny: bool | UnsetType = UNSET
    minutes: Annotated[int, Meta(ge=1, le=43_200)] | UnsetType = UNSET
    escalation: Annotated[list[Step], Meta(max_length=5)] | UnsetType = UNSET
    assurance: (
        Annotated[Assurance, Meta(description="The least it takes to decide: see designing rules.")] | UnsetType
    ) = UNSET
    confirm_critical: (
        Annotated[bool, Meta(description="Who approves what is critical types the action's name.")] | UnsetType
    ) = UNSET
    critical_seconds: (
        Annotated[
            int,
            Meta(ge=0, le=3_600, description="How long what is critical is on the page before it can be approved."),
        ]
        | UnsetType
    ) = UNSET
    edits_allowed: (
        Annotated[bool, Meta(description="Whether whoever decides may change `edit_fields` first.")] | UnsetType
    ) = UNSET
    edit_fields: (
        Annotated[list[Line], Meta(max_length=50, description="Fields of the context.", examples=[["amount"]])]
        | UnsetType
    ) = UNSET
    grants_allowed: (
        Annotated[bool, Meta(description="Whether approving may allow more of the same kind.")] | UnsetType
    ) = UNSET


class NewRule(ChangeRule, kw_only=True):
    name: Line


class ApprovalsQuery(Struct, forbid_unknown_fields=True):
    status: Literal["pending", "approved", "denied", "expired", "cancelled"] | None = None
    mode: Mode = "live"
    agent_id: Annotated[str | None, Meta(description="Slug or id.")] = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: Annotated[str | None, Meta(description="The id of the last one you have; older ones follow.")] = None


class Decide(Struct, forbid_unknown_fields=True):
    reason: Annotated[Text, Meta(description="The agent and the record keep it.")] = ""
    digest: Annotated[
        Line | None, Meta(description="Of what you were shown. If it is another by now, nothing is decided: 409.")
    ] = None
    typed: Annotated[
        Line, Meta(description="The action's name, to approve what is critical where the rule says so.")
    ] = ""


class GrantTerms(Struct, forbid_unknown_fields=True):
    """More of the same kind, allowed with an approval."""

    minutes: Annotated[int, Meta(ge=1, le=10_080)]
    uses: Annotated[int, Meta(ge=1, le=1_000)]
    each: Annotated[Amount | None, Meta(description="At most so much a use; at most what is approved.")] = None
    total: Annotated[Amount | None, Meta(description="At most so much in all.")] = None
    same: Annotated[list[Line], Meta(max_length=50, description="Fields of the context that have to stay.")] = []


class Approve(Decide):
    grant: GrantTerms | None = None


class GrantsQuery(Struct, forbid_unknown_fields=True):
    agent_id: Annotated[str | None, Meta(description="Slug or id.")] = None
    active: Annotated[bool, Meta(description="Only those that can be used now.")] = False
    mode: Mode = "live"


class Revoke(Struct, forbid_unknown_fields=True):
    reason: Annotated[Text, Meta(description="For the record.")] = ""


class Deny(Decide):
    changes: Annotated[bool, Meta(description="Ask for changes: the agent is told to ask again as `reason` says.")] = (
        False
    )


class Change(Decide):
    """What to change of the context before it is approved."""

    values: Annotated[
        dict[str, str | int | float | bool],
        Meta(description="Fields that the rule lets change, with their new values."),
    ] = {}


class Evidence(Struct, forbid_unknown_fields=True):
    """A text file, as evidence."""

    name: Annotated[Line, Meta(min_length=1)]
    text: Annotated[str, Meta(min_length=1, max_length=65_536, pattern=r"^[^\x00]*$")]


class NewComment(Struct, forbid_unknown_fields=True):
    """What you say. `@ann@example.com`, or `@ann` where only one member is called that, is told by mail."""

    text: Annotated[str, Meta(max_length=4_000, pattern=r"^[^\x00]*$")]
    question: Annotated[bool, Meta(description="To the agent, which reads it; else for people only.")] = False
    attachment: Evidence | None = None


class LogsQuery(Struct, forbid_unknown_fields=True):
    agent_id: Annotated[str | None, Meta(description="Slug or id.")] = None
    action: str | None = None
    status: str | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    offset: Annotated[int, Meta(ge=0, le=10_000, description="To go further, use `after`.")] = 0
    after: Annotated[str | None, Meta(description="The id of the last log you have; older ones follow.")] = None
    mode: Mode = "live"


class EventsQuery(Struct, forbid_unknown_fields=True):
    """Empty is any. `action` and `kind` find what is below them too: stripe finds stripe.refund.small."""

    actor: str = ""
    agent: str = ""
    action: str = ""
    kind: str = ""
    result: str = ""
    target: Annotated[str, Meta(description="apr_…, agt_…, dec_…, evt_… and so on.")] = ""
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: Annotated[str | None, Meta(description="The id of the last event you have; older ones follow.")] = None
    mode: Mode = "live"


LogName = Literal["live", "test", "organization"]


class CheckpointsQuery(Struct, forbid_unknown_fields=True):
    """`mode`: `organization` is the log of what concerns it as a whole."""

    mode: LogName = "live"
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    below: Annotated[int, Meta(ge=0, description="The size of the last you have, for smaller ones; 0: the newest.")] = 0


class ConsistencyQuery(Struct, forbid_unknown_fields=True):
    old: Annotated[int, Meta(ge=1)]
    new: Annotated[int, Meta(ge=0, description="0: of the newest checkpoint.")] = 0
    mode: LogName = "live"


class LogQuery(Struct, forbid_unknown_fields=True):
    newest: Annotated[bool, Meta(description="By the newest checkpoint, not the first that has it.")] = False
