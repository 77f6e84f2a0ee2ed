"""What an agent says to the people who decide: unverified, and never a vote."""

from agents.load import KeyFacts
from approvals import holding, rules, states, thread
from approvals.comments import Evidence
from audit.ids import new_id
from gateway.answers import NO_APPROVAL, Answer, error, ok
from gateway.claiming import decided, line, may_see
from gateway.jobs import Comment, actor
from gateway.writer import Batch

TOO_MANY = error(409, "There are too many comments of this agent on the approval already", "too_many_comments")


async def comment(job: Comment, key: KeyFacts, batch: Batch) -> Answer:
    """Adds to the thread of a pending approval, and tells those who asked."""
    held = await holding.lock(batch.connection, job.approval_id)
    if held is None or not may_see(key, held):
        return NO_APPROVAL
    status = held.status(batch.now)
    if status != states.PENDING:
        return decided(status)
    attached = job.body.attachment
    try:
        evidence = Evidence.of(attached.name, attached.text) if attached else None
    except rules.Incomplete as refused:
        return error(422, f"attachment: {refused.reason}")
    text = job.body.text.strip()
    if not text:
        return error(422, "text: nothing but space")
    said = await thread.answer(batch.connection, held, key_id=key.id, text=text, evidence=evidence, now=batch.now)
    if said is None:
        return TOO_MANY
    data: dict[str, object] = {"comment": said.comment_id, "text": text}
    if evidence:
        data["evidence"] = evidence.facts()
    batch.record(holding.entry(held, "agent:comment:answer", actor(key, held.agent_slug), data=data))
    await batch.connection.execute(
        holding.ANNOUNCE, [new_id(), held.organization_id, held.mode, "comment.answered", said.comment_id]
    )
    batch.announced()
    return ok(line(said))
