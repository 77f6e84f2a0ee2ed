"""/api/privacy-rules and /api/subjects: what is stored withheld or encrypted, and erasing whose it is.

A subject is named in bodies only, never in an address: addresses are logged, here and on the way.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from agents.models import PrivacyRule
from agents.models.privacy import LONGEST
from agents.services import privacy as services
from audit.ids import show_id
from warden.api import finding
from warden.api.answers import Moment
from warden.api.bodies import PLAIN
from warden.api.endpoint import Call, endpoint

Treatment = Literal["redact", "encrypt"]
Action = Annotated[
    str, Meta(max_length=200, pattern=PLAIN, description="An action, a wildcard, or * for all.", examples=["stripe.*"])
]
Path = Annotated[str, Meta(max_length=LONGEST, pattern=PLAIN)]
Field = Annotated[Path, Meta(description="The field in the context.", examples=["customer.email"])]
Whose = Annotated[
    Path, Meta(description="The field that says whose it is. Needed to encrypt.", examples=["customer.id"])
]
Subject = Annotated[
    str, Meta(min_length=1, max_length=300, description="As requests name it.", examples=["cus_ABC123"])
]
Reason = Annotated[
    str,
    Meta(min_length=1, max_length=500, pattern=PLAIN, description="The record keeps it: do not name the subject."),
]


class NewPrivacyRule(Struct, forbid_unknown_fields=True):
    action: Action
    path: Field
    treatment: Treatment
    subject: Whose = ""


class AnsweredPrivacyRule(Struct):
    """What is done with one field of some actions, from `created_at` on."""

    id: str
    action: str
    path: str
    treatment: Treatment
    subject: str
    created_at: Moment
    created_by: Annotated[str | None, Meta(description="null: a command, or somebody who was deleted.")]


class FindSubject(Struct, forbid_unknown_fields=True):
    subject: Subject


class EraseSubject(Struct, forbid_unknown_fields=True):
    subject: Subject
    confirm: Annotated[str, Meta(max_length=300, description="The subject again: this cannot be undone.")]
    reason: Reason


class KnownSubject(Struct):
    """Whether anything is encrypted for a subject."""

    encrypted_since: Annotated[Moment | None, Meta(description="null: nothing is, or it was erased.")]


def _answer(row: PrivacyRule) -> AnsweredPrivacyRule:
    return AnsweredPrivacyRule(
        id=show_id("pvr", row.pk),
        action=row.action,
        path=row.path,
        treatment=row.treatment,  # type: ignore[arg-type]
        subject=row.subject,
        created_at=row.created_at,
        created_by=row.created_by.email if row.created_by else None,
    )


def _find(call: Call, rule_id: str) -> PrivacyRule:
    rows = PrivacyRule.objects.filter(organization=call.organization).select_related("organization", "created_by")
    return finding.one(rows, "pvr", rule_id, "Privacy rule")


@endpoint("GET", "privacy-rules", "settings:read")
def list_privacy_rules(call: Call) -> list[AnsweredPrivacyRule]:
    """List what is stored withheld or encrypted."""
    rows = PrivacyRule.objects.filter(organization=call.organization).select_related("created_by")
    return [_answer(row) for row in rows]


@endpoint("POST", "privacy-rules", services.WRITE, 201)
def create_privacy_rule(call: Call, body: NewPrivacyRule) -> AnsweredPrivacyRule:
    """Store a field withheld or encrypted from now on. What was stored before stays as it is."""
    row = services.add_rule(organization=call.organization, by=call.membership, **structs.asdict(body))
    return _answer(_find(call, str(row.pk)))


@endpoint("GET", "privacy-rules/{rule_id}", "settings:read")
def get_privacy_rule(call: Call, rule_id: str) -> AnsweredPrivacyRule:
    """Get a privacy rule."""
    return _answer(_find(call, rule_id))


@endpoint("DELETE", "privacy-rules/{rule_id}", services.WRITE, 204)
def delete_privacy_rule(call: Call, rule_id: str) -> None:
    """Store a field as it is again, from now on. What was stored before stays covered."""
    services.delete_rule(rule=_find(call, rule_id), by=call.membership)


@endpoint("POST", "subjects/find", services.ERASE)
def find_subject(call: Call, body: FindSubject) -> KnownSubject:
    """Say whether there is anything of a subject to erase. Only owners do this."""
    known = services.find_subject(organization=call.organization, by=call.membership, subject=body.subject)
    return KnownSubject(known.created_at if known else None)


@endpoint("POST", "subjects/erase", services.ERASE, 204)
def erase_subject(call: Call, body: EraseSubject) -> None:
    """Destroy a subject's key, for good: nobody reads what was encrypted under it any more. Only owners do this."""
    services.erase_subject(
        organization=call.organization,
        by=call.membership,
        subject=body.subject,
        reason=body.reason,
        typed=body.confirm,
    )
