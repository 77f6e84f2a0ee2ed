"""What an agent says came of it: one event, beside the decision it belongs to."""

import uuid

from agents.load import KeyFacts, Loaded
from approvals import holding, moves
from audit.ids import new_id, read_id, show_id
from audit.leaf import Entry, timestamp
from gateway.answers import Answer, error, ok
from gateway.bodies import LogAnswer
from gateway.claiming import may_see
from gateway.jobs import Log, actor
from gateway.writer import Batch

ANNOUNCED = {"blocked", "failed", "pending_approval"}
DECISIONS = ["agent:check:allow", "agent:check:deny", "agent:check:ask", "agent:approval:claim", "agent:grant:use"]


def entry(job: Log, key: KeyFacts, loaded: Loaded, target: str = "") -> Entry:
    """The event of a log."""
    body = job.body
    slug = loaded.agents[body.agent_id].slug
    return Entry(
        kind="agent:action:log",
        organization_id=key.organization_id,
        mode=key.mode,
        actor=actor(key, slug),
        agent=slug,
        action=body.action,
        target=target,
        result=body.status,
        data={"context": job.stored, "ip_address": body.ip_address},
    )


async def tell(job: Log, key: KeyFacts, loaded: Loaded, batch: Batch, target: str = "") -> Answer:
    """Records the log, and owes people the news of one that did not go well."""
    row = batch.record(entry(job, key, loaded, target))
    body = job.body
    if body.status in ANNOUNCED:
        await batch.connection.execute(
            holding.ANNOUNCE,
            [new_id(), key.organization_id, key.mode, f"log.{body.status}", show_id("log", row.id)],
        )
        batch.announced()
    return ok(
        LogAnswer(
            id=show_id("log", row.id),
            agent_id=body.agent_id,
            organization_id=str(key.organization_id),
            action=body.action,
            status=body.status,
            context=job.stored,
            created_at=timestamp(row.at),
        )
    )


async def tell_outcome(job: Log, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer:
    """Records the log of an approval or a decision of this agent's own; another's is refused."""
    body = job.body
    if body.approval_id is not None:
        approval_id = job.approval_id
        held = (await holding.fetch(batch.connection, [approval_id])).get(approval_id) if approval_id else None
        if held is None or not may_see(key, held) or held.agent_id != loaded.agents[body.agent_id].id:
            return error(422, "approval_id: no such approval of this agent")
        await moves.log_outcome(batch.connection, held.id, body.status, batch.now)
        return await tell(job, key, loaded, batch, held.approval_id)
    decision_id = read_id("dec", body.decision_id or "")
    if decision_id is None or not await _decided(decision_id, job, key, loaded, batch):
        return error(422, "decision_id: no such decision of this agent")
    return await tell(job, key, loaded, batch, show_id("dec", decision_id))


async def _decided(decision_id: uuid.UUID, job: Log, key: KeyFacts, loaded: Loaded, batch: Batch) -> bool:
    cursor = await batch.connection.execute(
        "SELECT 1 FROM audit_event WHERE id = %s AND organization_id = %s AND mode = %s AND agent = %s"
        " AND kind = ANY(%s)",
        [decision_id, key.organization_id, key.mode, loaded.agents[job.body.agent_id].slug, DECISIONS],
    )
    return await cursor.fetchone() is not None
