"""Budgets at the door: what is allowed, or newly asked, is reserved in the transaction that records it. So is the place
of a new request among those of its agent that wait.

Agents' places, then counters, are locked once in a batch, after everything else, so that two processes never wait for
each other in a circle.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from agents import spending
from agents.policy import budgets
from approvals import granting, intake, pending
from approvals.granting import Granted
from gateway import checking
from gateway.checking import Judged
from gateway.writer import Batch


async def settle(
    batch: Batch, allowed: Sequence[Judged], asked: Sequence[tuple[Judged, intake.Reply | Granted]] = ()
) -> None:
    """Answers what was allowed and what was asked; what is over a budget is denied, as if it had never been asked."""
    new = [(judged, reply) for judged, reply in asked if isinstance(reply, intake.Reply) and reply.kind == "new"]
    granted = [(judged, reply) for judged, reply in asked if isinstance(reply, Granted)]
    refused = await _too_many(batch, new) if new else {}
    asks = [(judged, reply) for judged, reply in new if reply.held.id not in refused]
    others = (judged for judged, _ in (*granted, *asks))
    takes = [judged for judged in (*allowed, *others) if judged.needs]
    wanted = [spending.Wanted(judged.key.mode, judged.needs) for judged in takes]
    outcomes = await spending.reserve(batch.connection, wanted) if wanted else []
    of = {id(judged): outcome for judged, outcome in zip(takes, outcomes, strict=True)}
    opened, over = [], []
    for judged, reply in new:
        outcome = of.get(id(judged))
        if outcome and outcome.over:
            refused[reply.held.id] = (budgets.EXCEEDED, budgets.refusal(*outcome.over))
        if reply.held.id in refused:
            over.append(reply.held)
        else:
            opened.append((reply.held, outcome.reserved if outcome else []))
    if new:
        await intake.open_new(batch.connection, opened, over)
    fewer = await _unused(batch, [(said, of.get(id(judged))) for judged, said in granted])
    for judged in allowed:
        outcome = of.get(id(judged))
        if outcome and outcome.over:
            _deny(judged, budgets.EXCEEDED, budgets.refusal(*outcome.over))
        judged.job.answer = checking.settle(judged, batch)
    for judged, said in asked:
        outcome = of.get(id(judged))
        if isinstance(said, Granted):
            if outcome and outcome.over:
                _deny(judged, budgets.EXCEEDED, budgets.refusal(*outcome.over))
                judged.job.answer = checking.settle(judged, batch)
            else:
                number = said.use - fewer[said.id, said.use]
                judged.job.answer = checking.settle_granted(judged, replace(said, use=number), batch)
        elif why := refused.get(said.held.id):  # those who joined it in this batch, too
            _deny(judged, *why)
            judged.job.answer = checking.settle(judged, batch)
        else:
            judged.job.answer = checking.settle_ask(judged, said, batch)


async def _unused(
    batch: Batch, granted: Sequence[tuple[Granted, spending.Outcome | None]]
) -> Counter[tuple[uuid.UUID, int]]:
    """Gives grants back the uses that a budget refused. By how many the number of each later use is fewer."""
    refused = [said for said, outcome in granted if outcome and outcome.over]
    if refused:
        await granting.give_back(batch.connection, refused)
    return Counter(
        (said.id, said.use) for said, _ in granted for each in refused if each.id == said.id and each.use < said.use
    )


async def _too_many(batch: Batch, new: Sequence[tuple[Judged, intake.Reply]]) -> dict[uuid.UUID, tuple[str, str]]:
    """Those of the new requests that are more than their agent may have waiting, with a code and why."""
    most = {judged.agent.id: judged.agent.max_pending for judged, _ in new}
    over = await pending.beyond(batch.connection, [reply.held for _, reply in new], most, batch.now)
    return {
        reply.held.id: (pending.TOO_MANY, pending.refusal(judged.agent.slug, judged.agent.max_pending))
        for judged, reply in new
        if reply.held.id in over
    }


def _deny(judged: Judged, code: str, reason: str) -> None:
    judged.decision = replace(judged.decision, outcome="deny", code=code, reason=reason)
