"""Permission reviews: begin, decide of each thing, sign off. Deciding to remove removes; signing marks as audited."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from agents import policy
from agents.load import permission_of
from agents.models import Agent, ApiKey, Permission, PermissionReview, ReviewItem
from agents.review import Finding, review
from agents.services.agents import mark_audited
from agents.services.by import Who, check, person
from agents.services.errors import Conflict
from agents.services.facts import token
from agents.services.keys import revoke_key
from agents.services.permissions import delete_permission
from agents.services.writing import public_id, write_event
from audit.clock import database_now
from audit.ids import read_id
from audit.leaf import timestamp

Subject, Verdict = ReviewItem.Subject, ReviewItem.Verdict
MAY: dict[str, tuple[str, ...]] = {  # what can be decided of what
    Subject.TIER: (Verdict.KEEP, Verdict.NARROW, Verdict.REMOVE),
    Subject.KEY: (Verdict.KEEP, Verdict.REMOVE),
    Subject.WANTED: (Verdict.KEEP,),
    Subject.AGENT: (Verdict.KEEP,),
}
REASON = 500


@transaction.atomic
def start_review(*, agent: Agent, by: Who) -> PermissionReview:
    """The agent's open review, begun now if there is none; one that is open meets what came since.

    Raises Refused for what is no person, Conflict where the agent is gone.
    """
    organization = _entered(agent.organization, by)
    if not Agent.objects.filter(pk=agent.pk, deleted_at=None).exists():
        raise Conflict("This agent was deleted by somebody else.")
    found = PermissionReview.objects.filter(agent=agent, signed_at=None).first()
    if found is None:
        found = PermissionReview.objects.create(organization=organization, agent=agent, started_by=person(by))
        _write("start", found, by)
    _meet(found)
    return found


@transaction.atomic
def decide_item(*, item: ReviewItem, by: Who, verdict: str, reason: str = "") -> ReviewItem:
    """Keeps, narrows or removes one thing. To remove a tier deletes it, to remove a key revokes it, both at once; who
    narrows a tier edits it before signing.

    Raises Refused, Conflict, ValidationError where a reason is missing: what has findings, or changes, needs one.
    """
    _entered(item.review.organization, by)
    row = ReviewItem.objects.select_for_update().select_related("review__agent").get(pk=item.pk)
    if row.review.signed_at is not None:
        raise Conflict("This review is signed: what it says does not change any more.")
    if row.verdict in (Verdict.REMOVE, Verdict.GONE):
        raise Conflict("This is gone already.")
    if verdict not in MAY[row.subject]:
        raise ValidationError({"verdict": f"Use one of: {', '.join(MAY[row.subject])}."})
    reason = reason.strip()[:REASON]
    if not reason and (row.findings or verdict != Verdict.KEEP):
        raise ValidationError({"reason": "Say why: it is what the record of the review keeps."})
    if verdict == Verdict.REMOVE:
        _remove(row, by)
    row.verdict, row.reason = verdict, reason
    row.decided_at, row.decided_by = database_now(), person(by)
    row.save(update_fields=["verdict", "reason", "decided_at", "decided_by"])
    _write(verdict, row.review, by, what=row.words[:200], reason=reason)
    return row


@transaction.atomic
def sign_review(*, review: PermissionReview, by: Who, notes: str = "") -> PermissionReview:
    """Signs: everything was looked at, and what was to be narrowed is. The agent counts as audited from now on.

    Raises Refused where something is left to do, and says what; Conflict where it is signed already.
    """
    _entered(review.organization, by)
    row = (
        PermissionReview.objects.select_for_update(of=("self",)).select_related("agent__organization").get(pk=review.pk)
    )
    if row.signed_at is not None:
        raise Conflict("This review is signed already.")
    added = _meet(row)
    items = list(row.items.select_related("decided_by"))
    if added:
        raise Refused(f"Something came or changed since you looked: {added[0].words[:200]}. Decide on it, then sign.")
    undecided = [each for each in items if not each.verdict]
    if undecided:
        raise Refused(f"Decide on everything first; {len(undecided)} left, such as: {undecided[0].words[:200]}.")
    wide = next((each for each in items if each.verdict == Verdict.NARROW and _is_unchanged(each)), None)
    if wide:
        raise Refused(f"This was to be narrowed, and is as it was: {wide.words[:200]}. Edit the tier, then sign.")
    agent = mark_audited(agent=row.agent, by=by)
    signer = person(by)
    row.signed_at, row.signed_by, row.notes = agent.last_audited_at, signer, notes.strip()[:5_000]
    row.record = _record(row, agent, items, by)
    row.save(update_fields=["signed_at", "signed_by", "notes", "record"])
    counts = {verdict: sum(each.verdict == verdict for each in items) for verdict in Verdict.values}
    _write("sign", row, by, **counts, **({"notes": row.notes[:REASON]} if row.notes else {}))
    return row


def _entered(organization: Organization, by: Who) -> Organization:
    """The organization, locked, for a person who may change its agents."""
    if person(by) is None:
        raise Refused("Only a person can review what an agent may do.")
    organization = lock(organization)
    check(by, organization)
    return organization


def _meet(row: PermissionReview) -> list[ReviewItem]:
    """Adds what the review has not met yet, marks what is gone. Returns what has to be looked at because it is new."""
    wanted = {(each.subject, each.target): each for each in _things(row)}
    known = {(each.subject, each.target): each for each in row.items.all()}
    added = [each for key, each in wanted.items() if key not in known]
    ReviewItem.objects.bulk_create(added)
    for key, item in known.items():
        if item.verdict in (Verdict.REMOVE, Verdict.GONE):
            continue
        found = wanted.get(key)
        if found is None:
            item.verdict, item.decided_at = Verdict.GONE, database_now()
            item.save(update_fields=["verdict", "decided_at"])
        elif not item.verdict or (item.verdict == Verdict.KEEP and item.token != found.token):
            if item.verdict:  # what was kept is not what there is now: somebody has to look again
                item.verdict, item.decided_at, item.decided_by = "", None, None
                added.append(item)
            item.words, item.findings, item.token = found.words, found.findings, found.token
            item.save(update_fields=["words", "findings", "token", "verdict", "decided_at", "decided_by"])
    return added


def _things(row: PermissionReview) -> Iterable[ReviewItem]:
    """Every tier, every key that works, what it was refused, and what is amiss with the agent itself."""
    agent = row.agent
    findings = review(row.organization, agent)
    said: dict[uuid.UUID, list[str]] = defaultdict(list)
    for finding in findings:
        thing = finding.permission or finding.key
        if thing is not None:
            said[thing.pk].append(finding.text)
    for tier in agent.permissions.all():
        words = policy.describe(permission_of(tier))
        yield _item(row, Subject.TIER, public_id(tier), words, said[tier.pk], token=token(tier))
    for key in agent.api_keys.filter(revoked_at=None):
        words = f"{key.name} ({key.shown}), {key.mode}{f', {key.environment}' if key.environment else ''}"
        yield _item(row, Subject.KEY, public_id(key), words, said[key.pk], token=token(key))
    for finding in findings:
        if not (finding.permission or finding.key or finding.code == "not_audited"):  # which signing settles
            yield _of_agent(row, finding)


def _of_agent(row: PermissionReview, finding: Finding) -> ReviewItem:
    if finding.suggestion:
        action, _, text = finding.text.partition(": ")
        return _item(row, Subject.WANTED, action, action, [text], suggestion=dict(finding.suggestion))
    return _item(row, Subject.AGENT, finding.code, finding.text, [finding.text])


def _item(
    row: PermissionReview, subject: str, target: str, words: str, findings: list[str], **fields: Any
) -> ReviewItem:
    return ReviewItem(review=row, subject=subject, target=target, words=words, findings=findings, **fields)


def _remove(item: ReviewItem, by: Who) -> None:
    if item.subject == Subject.TIER:
        tier = _tier(item)
        if tier is None:
            raise Conflict("This tier was deleted by somebody else.")
        delete_permission(permission=tier, by=by, expected=item.token)
    else:
        key = ApiKey.objects.select_related("organization").filter(pk__in=[read_id("key", item.target)]).first()
        if key is None:
            raise Conflict("This key is gone.")
        revoke_key(key=key, by=by)


def _tier(item: ReviewItem) -> Permission | None:
    return Permission.objects.select_related("agent__organization").filter(pk__in=[read_id("prm", item.target)]).first()


def _is_unchanged(item: ReviewItem) -> bool:
    tier = _tier(item)
    return tier is not None and token(tier) == item.token


def _became(item: ReviewItem) -> str:
    """What a tier that was narrowed says now."""
    tier = _tier(item) if item.verdict == Verdict.NARROW else None
    return policy.describe(permission_of(tier)) if tier else ""


def _record(row: PermissionReview, agent: Agent, items: list[ReviewItem], by: Who) -> dict[str, Any]:
    """What was signed, in words that need no database to be read."""
    signer = person(by)
    assert row.signed_at is not None
    assert signer is not None
    return {
        "review": row.review_id,
        "organization": agent.organization.name,
        "agent": agent.slug,
        "name": agent.name,
        "purpose": agent.purpose,
        "owner": str(agent.owner or ""),
        "started_at": timestamp(row.started_at),
        "signed_at": timestamp(row.signed_at),
        "signed_by": signer.email,
        "notes": row.notes,
        "tiers": [policy.describe(permission_of(tier)) for tier in agent.permissions.all()],
        "items": [
            {
                "subject": each.subject,
                "target": each.target,
                "words": each.words,
                "became": _became(each),
                "findings": each.findings,
                "verdict": each.verdict,
                "reason": each.reason,
                "decided_by": each.decided_by.email if each.decided_by else "",
            }
            for each in items
        ],
    }


def _write(verb: str, row: PermissionReview, by: Who, **data: Any) -> None:
    write_event(verb=verb, row=row, by=by, organization_id=row.organization_id, agent=row.agent.slug, data=data)
