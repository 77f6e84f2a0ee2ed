"""A call as its instance may see it."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from approvals import states
from approvals.calls.intake import Call
from audit.leaf import timestamp
from gateway.aap.bodies import CallAnswer, Consumption, Decision, Outcome
from gateway.answers import Answer, encode


def created(call: Call, now: datetime) -> Answer:
    return shown(call, now, 201)


def shown(call: Call, now: datetime, status: int = 200) -> Answer:
    return Answer(status, encode(show(call, now)))


def show(call: Call, now: datetime) -> CallAnswer:
    """What was sent, as it was sent, and what became of it."""
    state = call.state(now)
    return CallAnswer(
        id=str(call.id),
        tool=call.tool,
        arguments=msgspec.Raw(call.arguments.encode()),
        timeout=call.timeout,
        status=state,  # type: ignore[arg-type]
        created_at=timestamp(call.created_at),
        deadline_at=timestamp(call.deadline or call.deadline_at),
        server=UNSET if call.server is None else call.server,
        agent_reasoning=UNSET if call.reasoning is None else call.reasoning,
        context=UNSET if call.context is None else msgspec.Raw(call.context.encode()),
        decision=UNSET if state == states.PENDING else _decision(call, state),
        consumption=_consumption(call) if call.consumed_at else UNSET,
    )


def _decision(call: Call, state: str) -> Decision:
    until = call.expires_at or call.claim_until
    return Decision(
        status=state,  # type: ignore[arg-type]
        decided_at=timestamp(call.ended_at),
        note=_note(call, state) or UNSET,
        expires_at=timestamp(until) if state == states.APPROVED and until else UNSET,
    )


def _note(call: Call, state: str) -> str:
    if call.status:
        return call.note
    if state == states.EXPIRED:
        return "Nobody decided in time"
    reason = call.asked_reason or ""
    return f"Changes are asked for: {reason}" if call.asked_code == states.CHANGES else reason


def _consumption(call: Call) -> Consumption:
    if call.consumed_at is None:
        raise ValueError("only what was consumed has a consumption")
    outcome: Outcome | UnsetType = UNSET
    if call.reported_at:
        note = UNSET if call.outcome_note is None else call.outcome_note
        outcome = Outcome(call.outcome, timestamp(call.reported_at), note)  # type: ignore[arg-type]
    return Consumption(timestamp(call.consumed_at), outcome)
