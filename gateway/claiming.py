"""Claims and cancellations: the agent takes an approval before it acts, once, or says that it gave up."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from agents import policy
from agents.load import KeyFacts, Loaded
from agents.opa.gate import OpaSaid, tighten
from approvals import holding, moves, receipts, states
from approvals.digest import digest
from approvals.holding import Held
from approvals.standing import GONE, standing
from approvals.thread import Said
from audit.canonical import read_canonical
from audit.leaf import timestamp
from audit.sealing import is_marked, marks
from audit.subjects import reveal_for_policy
from gateway import gate
from gateway.answers import NO_APPROVAL, Answer, error, ok
from gateway.bodies import ApprovalAnswer, Attachment, ClaimAnswer, CommentAnswer, DecisionAnswer
from gateway.checking import LATE, approval_url, effective, late, told
from gateway.jobs import Cancel, Claim, actor
from gateway.writer import Batch

ALREADY_CLAIMED = error(409, "This approval was claimed already", "already_claimed")
NOT_APPROVED = error(409, "This approval is not approved", "not_approved")
EXPIRED = error(409, "This approval expired", "approval_expired")


class Changed(NamedTuple):
    """Why an approval does not hold by the policy of now, for the record and for the agent."""

    reason: str
    answer: Answer


def changed(reason: str) -> Changed:
    return Changed(reason, error(409, reason, "policy_changed"))


def may_see(key: KeyFacts, held: Held) -> bool:
    """A key sees the approvals of its organization, mode, environment and agent: no others, ever (I10)."""
    return (
        held.organization_id == key.organization_id
        and held.mode == key.mode
        and held.environment == key.environment
        and key.agent_id in (None, held.agent_id)
    )


async def claim(job: Claim, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer:
    """Takes the approval if it is approved, in time, whole, and still permitted (I5).

    Raises gate.Unasked where an external OPA has to be asked first: nothing was done then.
    """
    held = await holding.lock(batch.connection, job.approval_id)
    if held is None or not may_see(key, held):
        return NO_APPROVAL
    if held.claimed_at is not None:
        return ALREADY_CLAIMED
    status = held.status(batch.now)
    if status != states.APPROVED:
        return EXPIRED if status == states.EXPIRED else NOT_APPROVED
    late = held.claim_until is None or (held.claim_until <= batch.now and held.frozen_at is None)
    if held.lapsed_at is not None or late:
        return EXPIRED
    said: list[OpaSaid] = []
    refused = await _changed(held, job, key, loaded, batch, said) or await _unsound(held, batch)
    outside = {"external_opa": said[0].facts} if said else {}
    if refused:
        batch.record(
            holding.entry(
                held,
                "agent:approval:refuse",
                actor(key, held.agent_slug),
                result="deny",
                data={"reason": refused.reason} | outside,
            )
        )
        return refused.answer
    claimed = await moves.claim(batch.connection, held.id, batch.now, job.idempotency_key or "")
    if claimed is None:
        return ALREADY_CLAIMED
    batch.announced()
    approved_by = (await receipts.approvers(batch.connection, [claimed]))[claimed.id]
    batch.record(
        holding.entry(
            claimed,
            "agent:approval:claim",
            actor(key, claimed.agent_slug),
            result="allow",
            data={
                "digest": claimed.digest,
                "policy_version": loaded.policy.version,
                "receipt": receipts.claims(claimed, approved_by, loaded.policy.version, job.audience),
            }
            | outside,
        )
    )
    return ok(show(claimed, batch.now))


async def _changed(
    held: Held, job: Claim, key: KeyFacts, loaded: Loaded, batch: Batch, said: list[OpaSaid]
) -> Changed | None:
    """Why the policy of now does not carry this approval; None where it does. A stop may still end in time.

    What an external OPA said is added to `said`. Raises gate.Unasked where it was not asked.
    """
    stored: dict[str, Any] = read_canonical(held.context)
    permission_id = json.loads(held.permission)["id"]
    whole = digest(
        organization_id=held.organization_id,
        mode=held.mode,
        agent_id=held.agent_id,
        action=held.action,
        callee=held.callee,
        environment=held.environment,
        context=stored,
        permission_id=permission_id,
        request_id=held.id if held.by_aap else None,
    )
    if whole != held.digest:
        return changed("What was approved is not what is stored")
    context, is_covered = stored, is_marked(held.context)
    if is_covered:
        context = await reveal_for_policy(batch.connection, held.organization_id, stored)
    if is_covered and any(marks(context)) and loaded.policy.version != held.policy_version:
        return changed("The policy changed, and values that it may look at are withheld or erased: ask again")
    request = policy.Request(str(held.agent_id), held.action, context, held.environment or None, held.callee or None)
    decision = told(late(loaded, policy.decide(loaded.policy, request, batch.now), batch), is_covered)
    if decision.code == LATE:
        return Changed(decision.reason, error(409, decision.reason, "record_late"))
    if decision.code in policy.STOPPED:
        return Changed(decision.reason, error(409, decision.reason, "paused"))
    if decision.outcome == "deny":
        return changed(f"The policy changed: {decision.reason}")
    if decision.outcome == "ask" and (decision.permission is None or decision.permission.id != permission_id):
        return changed("The policy changed: another permission asks for this now")
    if (question := gate.asks_of(held, key, loaded)) is not None:
        answer = gate.answer_to(job, loaded, question)
        said.append(answer.bare if is_covered else answer)
        tightened = tighten(decision, said[0])
        if tightened.outcome == "deny":  # the approval stays: what the OPA says may be another by the next claim
            return Changed(tightened.reason, error(409, tightened.reason, tightened.code))
    return None


async def _unsound(held: Held, batch: Batch) -> Changed | None:
    """Why its votes carry it no longer; None where they do."""
    return None if await standing(batch.connection, [held.id]) else changed(GONE)


async def cancel(job: Cancel, key: KeyFacts, batch: Batch) -> Answer:
    """Ends a pending approval; again: the same answer."""
    held = await holding.lock(batch.connection, job.approval_id)
    if held is None or not may_see(key, held):
        return NO_APPROVAL
    ended = await moves.cancel(batch.connection, held.id, batch.now)
    if ended:
        batch.announced()
        batch.record(
            holding.entry(ended, "agent:approval:cancel", actor(key, ended.agent_slug), result=states.CANCELLED)
        )
        return ok(show(ended, batch.now))
    status = held.status(batch.now)
    if status == states.CANCELLED:
        return ok(show(held, batch.now))
    return decided(status)


def decided(status: str) -> Answer:
    """It is too late for this."""
    return error(409, f"This approval is {status} already", "already_decided")


def show(held: Held, now: Any, thread: Iterable[Said] = (), receipt: str = "") -> ApprovalAnswer:
    """An approval as its agent may see it: what it was asked and answered, and, once signed, its claim's receipt."""
    status = held.status(now)
    approved = status == states.APPROVED
    ended = held.decided_at or held.expires_at
    context = msgspec.Raw(held.context.encode())
    asked = msgspec.Raw(held.asked_context.encode()) if held.asked else context
    return ApprovalAnswer(
        id=held.approval_id,
        agent_id=held.agent_slug,
        action=held.action,
        status=status,  # type: ignore[arg-type]
        created_at=timestamp(held.created_at),
        expires_at=timestamp(held.expires_at),
        digest=held.digest,
        paused_at=timestamp(held.frozen_at) if held.frozen_at else UNSET,
        approval_url=approval_url(held),
        context=asked,
        effective_context=effective(held) if approved else UNSET,
        decision=UNSET
        if status == states.PENDING
        else DecisionAnswer(
            status=status,  # type: ignore[arg-type]
            decided_at=timestamp(ended),
            reason=held.reason or UNSET,
            decided_by=held.decided_by_label or UNSET,
            expires_at=timestamp(held.claim_until) if held.claim_until else UNSET,
            code=held.code or UNSET,
        ),
        claim=ClaimAnswer(timestamp(held.claimed_at), timestamp(held.claim_until), held.digest, receipt or UNSET)
        if held.claimed_at and held.claim_until
        else None,
        comments=[line(said) for said in thread] or UNSET,
    )


def line(said: Said) -> CommentAnswer:
    """One line of the thread."""
    return CommentAnswer(
        id=said.comment_id,
        by=said.author,
        kind=said.kind,  # type: ignore[arg-type]
        text=said.text,
        created_at=timestamp(said.created_at),
        attachment=Attachment(said.evidence_name, said.evidence) if said.evidence else UNSET,
    )
