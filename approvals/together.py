"""Several requests decided with one confirmation: what has a low risk only, each as its own vote and its own event."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import Organization, User
from approvals import rules, services
from approvals.models import Approval

MOST = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one of them: the request as it is then, or why not."""

    approval: Approval
    refused: str = ""
    code: str = ""  # of why not, for programs


def decide(
    *,
    chosen: Sequence[tuple[uuid.UUID, str]],
    by: User,
    organization: Organization,
    mode: str,
    verdict: rules.Verdict,
    reason: str,
    via: str,
    assurance: str = "",
) -> list[Outcome]:
    """One vote on each of `chosen` (its id, and the digest they were shown), in their order; by `via` and with
    `assurance` as in services.review.

    Each is a transaction of its own, by the same ladder as any vote: what was decided, changed or stopped meanwhile is
    told, and the others are decided. What is not of this organization and mode is left out. Raises rules.Incomplete
    for more than MOST.
    """
    if len(chosen) > MOST:
        raise rules.Incomplete(f"At most {MOST} are decided together; these are {len(chosen)}.", "too_many")
    ids = [approval_id for approval_id, _ in chosen]
    there = {row.id: row for row in Approval.objects.filter(id__in=ids, organization=organization, mode=mode)}
    outcomes = []
    for approval_id, digest in dict(chosen).items():
        if approval_id not in there:
            continue
        try:
            approval = services.review(
                approval_id=approval_id,
                by=by,
                organization=organization,
                verdict=verdict,
                reason=reason,
                digest=digest,
                via=via,
                assurance=assurance,
                together=True,
            )
        except rules.Refused as refused:
            outcomes.append(Outcome(Approval.objects.get(id=approval_id), refused.reason, refused.code))
        else:
            outcomes.append(Outcome(approval))
    return outcomes
