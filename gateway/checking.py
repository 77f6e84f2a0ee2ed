"""A check, from the policy's decision to the answer and its event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from django.conf import settings
from msgspec import UNSET, UnsetType

from agents import policy
from agents.load import AgentFacts, KeyFacts, Loaded
from agents.opa.asking import asks
from agents.opa.gate import OpaSaid, tighten
from agents.policy import budgets
from agents.policy.budgets import Need
from approvals import holding, intake, receipts, states
from approvals.digest import digest
from approvals.granting import Granted
from audit import spans
from audit.ids import new_id, show_id
from audit.lag import is_late
from audit.leaf import Entry, timestamp
from audit.sealing import is_marked
from gateway import gate, metrics
from gateway.answers import Answer
from gateway.bodies import AuditProof, CheckAnswer
from gateway.jobs import Check, Refusal, actor
from gateway.writer import Batch

ASKED = "This action requires human approval"
EDITED = "Not as asked: approved in a changed form"
UNSAID = ("error", "condition_error", "opa_agrees", "opa_asks", "opa_denies", "opa_failed")
BECAUSE = 300  # characters
STOPPED = {"organization_paused", "agent_paused", "action_paused"}
GRAVE = {"high", "critical"}
LATE = "record_late"
TOO_LATE = "The record is not being put in order: high risk is denied until it is"
LARGEST = Decimal(10) ** 20  # the first amount that an approval cannot show


@dataclass(slots=True)
class Judged:
    """A check and what the policy says of it."""

    job: Check
    key: KeyFacts
    loaded: Loaded
    agent: AgentFacts
    decision: policy.Decision
    shadow: dict[str, Any] | None = None  # what the shadow policy says: for the record, never for the answer
    needs: Sequence[Need] = ()  # what it takes of budgets
    said: OpaSaid | None = None  # by an external OPA, where one is asked


def judge(job: Check, key: KeyFacts, loaded: Loaded, batch: Batch) -> Judged:
    """Asks the policy, at the time of the batch. Raises gate.Unasked where an external OPA has to be asked first."""
    agent = loaded.agents[job.body.agent_id]
    request = gate.request_of(job, key, agent)
    with spans.span("decide", job.trace):
        decision = policy.decide(loaded.policy, request, batch.now)
    shadow, said = _shadow(loaded, agent, request, decision, batch, job.is_covered), None
    if (question := asks(key.mode, loaded, agent, request, decision)) is not None:
        said = gate.answer_to(job, loaded, question)
        said = said.bare if job.is_covered else said
        decision = tighten(decision, said)
    if decision.outcome == "ask" and decision.amount is not None and decision.amount >= LARGEST:
        decision = replace(decision, outcome="deny", code="amount_invalid", reason="Amount is too large to ask about")
    decision = told(late(loaded, decision, batch), job.is_covered)
    needs = budgets.needs(loaded.policy.agents[str(agent.id)], decision, batch.now)
    return Judged(job, key, loaded, agent, decision, shadow, needs, said)


def late(loaded: Loaded, decision: policy.Decision, batch: Batch) -> policy.Decision:
    """The decision, or a denial: of high risk, where the organization wants it so while the record is late."""
    permission = decision.permission
    if not loaded.deny_when_late or decision.outcome == "deny" or permission is None or permission.risk not in GRAVE:
        return decision
    if not is_late(batch.ordered_at, batch.now):
        return replace(decision, conditional=True)  # no client goes on with it from memory
    return replace(decision, outcome="deny", code=LATE, reason=TOO_LATE, conditional=True)


def told(decision: policy.Decision, is_covered: bool) -> policy.Decision:
    """The decision as it may be kept and answered: of a context that is kept covered, what went wrong in a condition is
    left out, as it may name a value.
    """
    if not is_covered or decision.code != "condition_error":
        return decision
    return replace(decision, reason=decision.reason.partition(": ")[0])


def _shadow(
    loaded: Loaded,
    agent: AgentFacts,
    request: policy.Request,
    decision: policy.Decision,
    batch: Batch,
    is_covered: bool,
) -> dict[str, Any] | None:
    """What the shadow policy would say, where one is set; why, only where it differs. A stop is nothing to compare."""
    if loaded.shadow is None or decision.code in STOPPED:
        return None
    asked = replace(request, agent=agent.slug)
    said = told(policy.decide(loaded.shadow, asked, batch.now), is_covered)
    found: dict[str, Any] = {"outcome": said.outcome, "permission": said.permission.action if said.permission else None}
    return found if said.outcome == decision.outcome else {**found, "reason": said.reason[:BECAUSE]}


def _entry(judged: Judged, kind: str, result: str, reason: str, target: str = "", **data: Any) -> Entry:
    decision = judged.decision
    permission = decision.permission
    return Entry(
        kind=kind,
        organization_id=judged.key.organization_id,
        mode=judged.key.mode,
        actor=actor(judged.key, judged.agent.slug),
        agent=judged.agent.slug,
        action=judged.job.body.action,
        target=target,
        result=result,
        data={
            "reason": reason,
            "code": decision.code,
            "permission": permission.action if permission else None,
            "policy_version": judged.loaded.policy.version,
            "environment": judged.key.environment,
            "trace": [_line(looked, judged.job.is_covered) for looked in decision.trace],
            **({"shadow": judged.shadow} if judged.shadow else {}),
            **({"external_opa": judged.said.facts} if judged.said else {}),
            **_sides(judged.job, judged.agent.spiffe_id),
            **data,
        },
    )


def _sides(job: Check, caller: str = "") -> dict[str, str]:
    """Who asks of whom, as SPIFFE IDs, and the trace (W3C) it is part of: what is known of them."""
    sides = (("caller", caller), ("callee", job.callee), ("trace_id", job.trace_id))
    return {name: value for name, value in sides if value}


def _line(looked: policy.Looked, is_covered: bool) -> list[str]:
    """One line of the trace. Why is kept where the verdict does not say it: what went wrong in a condition, or here.
    Of a context that is kept covered it is not: it may name a value.
    """
    line = [looked.permission, looked.verdict]
    return [*line, looked.because[:BECAUSE]] if looked.verdict in UNSAID and not is_covered else line


def settle(judged: Judged, batch: Batch) -> Answer:
    """The answer to a plain allow or deny. Anything but an allow is a deny."""
    decision = judged.decision
    allowed = decision.outcome == "allow"
    entry = _entry(
        judged,
        "agent:check:allow" if allowed else "agent:check:deny",
        "allow" if allowed else "deny",
        decision.reason,
        context=judged.job.stored,
    )
    return _answer(
        judged,
        batch,
        entry,
        allowed=allowed,
        status="allowed" if allowed else "denied",
        reason=decision.reason,
        cacheable=not decision.conditional,
    )


def ask(judged: Judged) -> intake.Ask:
    """What the approvals room needs to know of a check that needs a person."""
    decision, loaded, key, body = judged.decision, judged.loaded, judged.key, judged.job.body
    permission = decision.permission
    if permission is None:
        raise RuntimeError("an ask without its permission")
    kept = loaded.permissions[permission.id]
    seconds = int(kept.rule["minutes"]) * 60
    chain = [*judged.agent.chain, *([key.created_by] if key.created_by else [])]
    return intake.Ask(
        digest=digest(
            organization_id=key.organization_id,
            mode=key.mode,
            agent_id=judged.agent.id,
            action=body.action,
            callee=judged.job.callee,
            environment=key.environment,
            context=judged.job.stored,
            permission_id=permission.id,
            request_id=judged.job.request_id,
        ),
        organization_id=key.organization_id,
        mode=key.mode,
        agent_id=judged.agent.id,
        agent_slug=judged.agent.slug,
        key_id=key.id,
        requesters=sorted(set(chain)),
        action=body.action,
        callee=judged.job.callee,
        environment=key.environment,
        amount=decision.amount,
        currency=_currency(decision.currency),
        risk=permission.risk,
        context=judged.job.stored_text,
        reasoning=body.reasoning or "",
        permission=kept.snapshot,
        rule=kept.rule,
        policy_version=loaded.policy.version,
        lifetime=timedelta(seconds=min(seconds, body.expires_in or seconds)),
        cooldown=timedelta(seconds=loaded.cooldown_seconds),
        id=judged.job.request_id or new_id(),
        by_aap=judged.job.request_id is not None,
    )


def _currency(given: str | None) -> str:
    """A code as ISO 4217 has them, else nothing: where no tier names a currency, the agent may have said anything."""
    return given.upper() if given and len(given) == 3 and given.isascii() and given.isalpha() else ""


def settle_ask(judged: Judged, reply: intake.Reply, batch: Batch) -> Answer:
    """The answer to a check that needs a person: pending, the one allow of an approval, or what was decided."""
    held = reply.held
    match reply.kind:
        case "new":
            batch.after.append(partial(metrics.requested, judged.key.mode))
            batch.announced()
            entry = _entry(
                judged,
                "agent:check:ask",
                "ask",
                ASKED,
                held.approval_id,
                digest=held.digest,
                context=judged.job.stored,
                reasoning=judged.job.body.reasoning or "",
            )
            return _answer(judged, batch, entry, status="pending", reason=ASKED, held=held)
        case "pending":
            entry = _entry(judged, "agent:check:ask", "ask", ASKED, held.approval_id, digest=held.digest, repeated=True)
            return _answer(judged, batch, entry, status="pending", reason=ASKED, held=held)
        case "claimed":
            batch.announced()
            outside = " outside its rule" if held.code == states.BREAK_GLASS else ""
            reason = f"Approved by {held.decided_by_label}{outside}" + (f": {held.reason}" if held.reason else "")
            entry = _entry(
                judged,
                "agent:approval:claim",
                "allow",
                reason,
                held.approval_id,
                digest=held.digest,
                context=judged.job.stored,
                receipt=receipts.claims(held, reply.approved_by, judged.loaded.policy.version),
            )
            return _answer(judged, batch, entry, allowed=True, status="allowed", reason=reason, held=held)
        case "edited":
            reason = f"{EDITED} by {held.decided_by_label}: read {held.approval_id}, claim it, and do exactly that"
            entry = _entry(judged, "agent:check:deny", "deny", reason, held.approval_id, digest=held.digest)
            return _answer(judged, batch, entry, status="denied", reason=reason, held=held, code="edited")
        case "refused":
            reason = refusal(held, held.status(batch.now))
            entry = _entry(judged, "agent:check:deny", "deny", reason, held.approval_id, digest=held.digest)
            return _answer(judged, batch, entry, status="denied", reason=reason, held=held)


def settle_granted(judged: Judged, granted: Granted, batch: Batch) -> Answer:
    """The answer to a check that a grant allows: one of its uses, counted in this transaction."""
    reason = f"Allowed by a grant of {granted.by}, use {granted.use} of {granted.of}"
    entry = _entry(
        judged,
        "agent:grant:use",
        "allow",
        reason,
        granted.grant_id,
        grant=granted.grant_id,
        use=granted.use,
        context=judged.job.stored,
    )
    return _answer(judged, batch, entry, allowed=True, status="allowed", reason=reason, grant_id=granted.grant_id)


def refusal(held: holding.Held, status: str) -> str:
    """Why it was not approved, in words for the agent and its developer."""
    if status == states.EXPIRED:
        return "The approval expired: nobody decided in time"
    if held.code == states.CHANGES:
        return f"{held.decided_by_label} asks for changes: {held.reason}"
    return f"Denied by {held.decided_by_label}" + (f": {held.reason}" if held.reason else "")


def _answer(
    judged: Judged,
    batch: Batch,
    entry: Entry,
    *,
    status: str,
    reason: str,
    allowed: bool = False,
    held: holding.Held | None = None,
    cacheable: bool = False,
    code: str = "",
    grant_id: str = "",
) -> Answer:
    row = batch.record(entry)
    permission = judged.decision.permission
    judged.job.counted = (judged.agent.slug, permission.action if permission else metrics.OTHER, status)
    return judged.job.answer_of(
        CheckAnswer(
            allowed=allowed,
            requires_approval=status == "pending",
            reason=reason,
            status=status,  # type: ignore[arg-type]
            decision_id=show_id("dec", row.id),
            policy_version=judged.loaded.policy.version,
            audit=AuditProof(show_id("evt", row.id), row.leaf.hex()),
            permission=permission.action if permission else UNSET,
            approval_id=held.approval_id if held else UNSET,
            approval_url=approval_url(held) if held else UNSET,
            expires_at=timestamp(held.expires_at) if held and status == "pending" else UNSET,
            effective_context=effective(held) if held and (allowed or code) else UNSET,
            code=code or (held and held.code) or UNSET,
            grant_id=grant_id or UNSET,
            cacheable=cacheable,
        ),
        "requires_approval" if status == "pending" else judged.decision.code,
    )


def effective(held: holding.Held) -> msgspec.Raw | UnsetType:
    """What was approved; nothing where values of it are kept covered, as it is exactly what was asked then."""
    return UNSET if is_marked(held.context) else msgspec.Raw(held.context.encode())


def approval_url(held: holding.Held) -> str:
    """Where people decide it."""
    return f"{settings.SITE_URL}/approvals/{held.approval_id}"


def refuse(job: Check, refusal: Refusal, key: KeyFacts, batch: Batch) -> Answer:
    """Records that a key asked what the policy is not asked about, such as for an agent that is not there."""
    job.counted = metrics.REFUSED
    row = batch.record(
        Entry(
            kind="agent:check:refuse",
            organization_id=key.organization_id,
            mode=key.mode,
            actor=actor(key, ""),
            action=job.body.action,
            result="deny",
            data={"agent_id": job.body.agent_id, "code": refusal.code} | _sides(job),
        )
    )
    return job.refused(refusal, show_id("dec", row.id))
