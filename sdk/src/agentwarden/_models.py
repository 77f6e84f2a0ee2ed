"""What Warden answers, and the strict reading of it.

A field of the wrong type is not guessed at: the whole answer is refused with an APIError, which is never an allow.
Fields this version does not know are ignored, so that a newer server can speak to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ._errors import APIError
from ._json import MalformedJSON, decode

STATUSES = frozenset({"pending", "approved", "denied", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer to one check. True in a condition only when the action is allowed, now.

    `allowed` and `requires_approval` are never both true. `effective_context` is set when an approver changed what
    was asked: then that, and only that, is allowed. `code` changes_requested: denied, but ask again as `reason` says.
    `fail_open` marks an allow that did not come from Warden but from your own `fail_open_actions`; `cached` an answer
    given from this client's cache. `grant_id` names the grant that allowed it. Times are aware, in UTC.
    """

    allowed: bool
    requires_approval: bool
    reason: str | None = None
    approval_id: str | None = None
    decision_id: str | None = None
    permission: str | None = None
    status: str | None = None
    approval_url: str | None = None
    expires_at: datetime | None = None
    policy_version: str | None = None
    effective_context: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    cacheable: bool = False
    request_id: str | None = None
    fail_open: bool = False
    cached: bool = False
    code: str | None = None
    grant_id: str | None = None

    def __bool__(self) -> bool:
        return self.allowed is True

    @property
    def approved_otherwise(self) -> bool:
        """Denied as it was asked, but approved as a person changed it: claim the approval, and do exactly that."""
        return not self.allowed and self.code == "edited" and bool(self.approval_id)


@dataclass(frozen=True, slots=True)
class LogResult:
    """One entry of the log, as the server wrote it. `created_at` is aware."""

    id: str
    agent_id: str
    organization_id: str
    action: str
    status: str
    context: Mapping[str, Any] | None
    created_at: datetime
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """An approval taken, once, by this agent: the right to act, until `deadline_at`.

    `effective_context` is what was approved, the approver's edits included; None means exactly what was asked.
    `receipt` is signed: hand it to whoever carries the action out, who checks it with `verify_receipt`; None where it
    was not signed yet. `answer` is the whole answer. `digest` names what was approved (SHA-256).
    """

    approval_id: str
    digest: str
    claimed_at: datetime
    deadline_at: datetime | None
    action: str | None
    agent_id: str | None
    effective_context: Mapping[str, Any] | None
    receipt: str | None
    answer: Mapping[str, Any]
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A question of a person (`kind` is question), or an answer of the agent (answer). `created_at` is aware."""

    id: str
    by: str
    kind: str
    text: str
    created_at: datetime
    attachment: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """The state of one approval. True in a condition only when it is approved; still, claim it before acting.

    `context` is what was asked, `effective_context` what was approved when an approver changed it, else None.
    `code` changes_requested: denied, but ask again as `reason` says. `comments` are what people ask, and your answers.
    """

    id: str
    status: str
    reason: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    expires_at: datetime | None = None
    context: Mapping[str, Any] | None = None
    effective_context: Mapping[str, Any] | None = None
    claimed: bool = False
    request_id: str | None = None
    code: str | None = None
    comments: tuple[Comment, ...] = ()

    @property
    def pending(self) -> bool:
        """Nobody has decided yet, and it has neither expired nor been cancelled."""
        return self.status == "pending"

    @property
    def approved(self) -> bool:
        """Approved. Whether it is still free to be claimed, only `claim` can tell."""
        return self.status == "approved"

    def __bool__(self) -> bool:
        return self.approved


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key this is. `agent_id` None: it speaks for every agent of the organization. `expires_at` is aware."""

    key_id: str
    key_name: str
    organization_id: str
    mode: str
    agent_id: str | None
    environment: str | None
    scopes: tuple[str, ...]
    expires_at: datetime | None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end. Header names are lower case."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str | None:
        value = self.headers.get("x-request-id", "")
        return value if re.fullmatch(r"[\x21-\x7e]{1,200}", value) else None

    def json(self) -> Any:
        """The body; MalformedJSON unless it is declared as JSON and is."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise MalformedJSON("the answer is not application/json")
        return decode(self.body)


class Fields:
    """Reads the fields of one JSON object; every surprise is an APIError that names the field."""

    def __init__(self, value: Any, answer: Answer, where: str = "") -> None:
        self._answer = answer
        self._where = where
        if not isinstance(value, dict):
            raise self.malformed(f"{where.rstrip('.') or 'the answer'} is not an object")
        self._value: dict[str, Any] = value

    @classmethod
    def of(cls, answer: Answer) -> Fields:
        """The body of an answer as one object."""
        try:
            return cls(answer.json(), answer)
        except MalformedJSON as error:
            raise malformed(answer, str(error)) from error

    @property
    def value(self) -> dict[str, Any]:
        return self._value

    def malformed(self, what: str) -> APIError:
        return malformed(self._answer, what)

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._value.get(name, default)
        if value is True or value is False:
            return value
        raise self.malformed(f"'{self._where}{name}' is neither true nor false")

    def text(self, name: str) -> str | None:
        value = self._value.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.malformed(f"'{self._where}{name}' is not a text")

    def need(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise self.malformed(f"'{self._where}{name}' is missing")
        return value

    def when(self, name: str) -> datetime | None:
        value = self.text(name)
        if value is None:
            return None
        moment = parse_time(value)
        if moment is None:
            raise self.malformed(f"'{self._where}{name}' is not a time with a zone")
        return moment

    def need_when(self, name: str) -> datetime:
        moment = self.when(name)
        if moment is None:
            raise self.malformed(f"'{self._where}{name}' is missing")
        return moment

    def object(self, name: str) -> dict[str, Any] | None:
        value = self._value.get(name)
        if value is None or isinstance(value, dict):
            return value
        raise self.malformed(f"'{self._where}{name}' is not an object")

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._value.get(name)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise self.malformed(f"'{self._where}{name}' is not a list of texts")

    def list_of_fields(self, name: str) -> list[Fields]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.malformed(f"'{self._where}{name}' is not a list")
        return [Fields(each, self._answer, f"{self._where}{name}.") for each in value]

    def fields(self, name: str) -> Fields | None:
        value = self.object(name)
        return None if value is None else Fields(value, self._answer, f"{self._where}{name}.")


def malformed(answer: Answer, what: str) -> APIError:
    """The error for an answer that cannot be read; it never quotes the body."""
    return APIError(
        f"Warden's answer is malformed: {what}", request_id=answer.request_id, status_code=answer.status_code
    )


_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time as an aware datetime in UTC (to the microsecond), or None."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}" + ("+00:00" if zone in "Zz" else zone))
        moment += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def parse_check(answer: Answer) -> CheckResult:
    fields = Fields.of(answer)
    result = CheckResult(
        allowed=fields.flag("allowed"),
        requires_approval=fields.flag("requires_approval"),
        reason=fields.text("reason"),
        approval_id=fields.text("approval_id"),
        decision_id=fields.text("decision_id"),
        permission=fields.text("permission"),
        status=fields.text("status"),
        approval_url=fields.text("approval_url"),
        expires_at=fields.when("expires_at"),
        policy_version=fields.text("policy_version"),
        effective_context=fields.object("effective_context"),
        audit=fields.object("audit"),
        cacheable=fields.flag("cacheable", default=False),
        request_id=answer.request_id,
        code=fields.text("code"),
        grant_id=fields.text("grant_id"),
    )
    if result.allowed and result.requires_approval:
        raise fields.malformed("both allowed and in need of approval")
    if result.requires_approval and not result.approval_id:
        raise fields.malformed("in need of approval, but 'approval_id' is missing")
    return result


def parse_log(answer: Answer) -> LogResult:
    fields = Fields.of(answer)
    return LogResult(
        id=fields.need("id"),
        agent_id=fields.need("agent_id"),
        organization_id=fields.need("organization_id"),
        action=fields.need("action"),
        status=fields.need("status"),
        context=fields.object("context"),
        created_at=fields.need_when("created_at"),
        request_id=answer.request_id,
    )


def parse_approval(answer: Answer, approval_id: str) -> Approval:
    fields = Fields.of(answer)
    _same_id(fields, approval_id)
    status = fields.need("status")
    if status not in STATUSES:
        raise fields.malformed("'status' is none of the five it may be")
    decision = fields.fields("decision") or Fields({}, answer)
    return Approval(
        id=approval_id,
        status=status,
        reason=decision.text("reason"),
        decided_at=decision.when("decided_at"),
        decided_by=decision.text("decided_by"),
        expires_at=decision.when("expires_at") or fields.when("expires_at"),
        context=fields.object("context"),
        effective_context=fields.object("effective_context"),
        claimed=fields.object("claim") is not None,
        request_id=answer.request_id,
        code=decision.text("code"),
        comments=tuple(read_comment(each) for each in fields.list_of_fields("comments")),
    )


def parse_comment(answer: Answer) -> Comment:
    return read_comment(Fields.of(answer))


def read_comment(fields: Fields) -> Comment:
    return Comment(
        id=fields.need("id"),
        by=fields.need("by"),
        kind=fields.need("kind"),
        text=fields.need("text"),
        created_at=fields.need_when("created_at"),
        attachment=fields.object("attachment"),
    )


def parse_identity(answer: Answer) -> Identity:
    fields = Fields.of(answer)
    return Identity(
        key_id=fields.need("key_id"),
        key_name=fields.text("key_name") or "",
        organization_id=fields.need("organization_id"),
        mode=fields.need("mode"),
        agent_id=fields.text("agent_id"),
        environment=fields.text("environment"),
        scopes=fields.texts("scopes"),
        expires_at=fields.when("expires_at"),
        request_id=answer.request_id,
    )


def parse_claim(answer: Answer, approval_id: str) -> Claim:
    fields = Fields.of(answer)
    _same_id(fields, approval_id)
    if fields.need("status") != "approved":
        raise fields.malformed("claimed, but not approved")
    claim = fields.fields("claim")
    if claim is None:
        raise fields.malformed("'claim' is missing")
    return Claim(
        approval_id=approval_id,
        digest=claim.need("digest"),
        claimed_at=claim.need_when("claimed_at"),
        deadline_at=claim.when("deadline_at"),
        action=fields.text("action"),
        agent_id=fields.text("agent_id"),
        effective_context=fields.object("effective_context"),
        receipt=claim.text("receipt"),
        answer=fields.value,
        request_id=answer.request_id,
    )


def _same_id(fields: Fields, approval_id: str) -> None:
    if fields.need("id") != approval_id:
        raise fields.malformed("it is about another approval")
