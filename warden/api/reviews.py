"""/api/permission-reviews: what each agent may do, looked at once a quarter."""

from typing import Annotated, Literal

from django.db.models import QuerySet
from msgspec import Meta, Struct

from agents.models import Agent as Row
from agents.models import PermissionReview, ReviewItem
from agents.review import due, review
from agents.review_record import markdown
from agents.services import reviews as services
from agents.services.writing import public_id
from warden.api import finding
from warden.api.answers import Moment
from warden.api.bodies import Line, Text
from warden.api.endpoint import Call, endpoint
from warden.api.errors import missing


class Finding(Struct):
    """One thing to look at. `suggestion` has the fields of a tier that would settle it."""

    code: str
    text: str
    permission_id: str | None
    key_id: str | None
    suggestion: dict[str, str] | None


class DueReview(Struct):
    """When an agent's permissions are to be looked at next, and what there is to see now."""

    agent: str
    due_at: Moment
    last_audited_at: Moment | None
    open_review: str | None
    findings: list[Finding]


class PermissionReviewItem(Struct):
    id: int
    subject: Literal["tier", "key", "wanted", "agent"]
    target: str
    words: str
    findings: list[str]
    suggestion: dict[str, str]
    verdict: Annotated[Literal["keep", "narrow", "remove", "gone", ""], Meta(description="Empty: to be decided.")]
    reason: str
    decided_at: Moment | None


class PermissionReviewAnswer(Struct):
    """A review. Once it is signed, `record` is what was signed, as Markdown."""

    id: str
    agent: str
    started_at: Moment
    signed_at: Moment | None
    signed_by: str | None
    notes: str
    items: list[PermissionReviewItem]
    record: str | None


class DecideReviewItem(Struct, forbid_unknown_fields=True):
    """`remove` deletes the tier or revokes the key; what is to be narrowed is changed before signing."""

    verdict: Literal["keep", "narrow", "remove"]
    reason: Annotated[Line, Meta(description="Needed, unless something without findings is kept.")] = ""


class SignReview(Struct, forbid_unknown_fields=True):
    notes: Text = ""


def answer(row: PermissionReview) -> PermissionReviewAnswer:
    return PermissionReviewAnswer(
        id=row.review_id,
        agent=row.agent.slug,
        started_at=row.started_at,
        signed_at=row.signed_at,
        signed_by=row.record["signed_by"] if row.record else None,
        notes=row.notes,
        items=[item_answer(each) for each in row.items.all()],
        record=markdown(row.record) if row.record else None,
    )


def item_answer(row: ReviewItem) -> PermissionReviewItem:
    return PermissionReviewItem(
        id=row.pk,
        subject=row.subject,  # type: ignore[arg-type]
        target=row.target,
        words=row.words,
        findings=row.findings,
        suggestion=row.suggestion,
        verdict=row.verdict,  # type: ignore[arg-type]
        reason=row.reason,
        decided_at=row.decided_at,
    )


def _reviews(call: Call) -> QuerySet[PermissionReview]:
    return PermissionReview.objects.filter(organization=call.organization).select_related(
        "organization", "agent__organization"
    )


def _review(call: Call, text: str) -> PermissionReview:
    return finding.one(_reviews(call), "rvw", text, "Review")


@endpoint("GET", "permission-reviews/due", "agents:read")
def list_due_reviews(call: Call) -> list[DueReview]:
    """List agents by when their review is due, the most urgent first, with what there is to look at."""
    found: dict[str, list[Finding]] = {}
    for each in review(call.organization):
        if each.agent:
            said = Finding(
                each.code,
                each.text,
                public_id(each.permission) if each.permission else None,
                public_id(each.key) if each.key else None,
                dict(each.suggestion) if each.suggestion else None,
            )
            found.setdefault(each.agent.slug, []).append(said)
    rows: list[Row] = sorted(finding.agents(call), key=due)
    begun = {row.agent_id: row.review_id for row in _reviews(call).filter(signed_at=None)}
    return [
        DueReview(row.slug, due(row), row.last_audited_at, begun.get(row.pk), found.get(row.slug, [])) for row in rows
    ]


@endpoint("POST", "agents/{agent_id}/review", "agents:write", 201)
def start_review(call: Call, agent_id: str) -> PermissionReviewAnswer:
    """Begin the review of an agent, by slug or id, or go on with the open one: it meets what came since."""
    return answer(services.start_review(agent=finding.agent(call, agent_id), by=call.membership))


@endpoint("GET", "permission-reviews/{review_id}", "agents:read")
def get_review(call: Call, review_id: str) -> PermissionReviewAnswer:
    """Get a review."""
    return answer(_review(call, review_id))


@endpoint("POST", "permission-reviews/{review_id}/items/{item_id}", "agents:write")
def decide_review_item(call: Call, review_id: str, item_id: str, body: DecideReviewItem) -> PermissionReviewItem:
    """Keep, narrow or remove one thing."""
    rows = _review(call, review_id).items.select_related("review__organization", "review__agent")
    row = rows.filter(pk=int(item_id)).first() if item_id.isdecimal() and len(item_id) < 18 else None
    if row is None:
        raise missing("Item")
    return item_answer(services.decide_item(item=row, by=call.membership, verdict=body.verdict, reason=body.reason))


@endpoint("POST", "permission-reviews/{review_id}/sign", "agents:write")
def sign_review(call: Call, review_id: str, body: SignReview) -> PermissionReviewAnswer:
    """Sign a review in which everything is decided. The agent counts as audited by you from now on."""
    return answer(services.sign_review(review=_review(call, review_id), by=call.membership, notes=body.notes))
