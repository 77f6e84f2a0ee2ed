"""The two lanes: `quick` appends to the record; `careful` locks approvals and idempotency keys."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from agents.load import KeyFacts, Loaded
from approvals import intake
from approvals.granting import Granted
from gateway import budgeting, checking, claiming, covering, talking, telling
from gateway.aap import calls
from gateway.answers import UNAUTHORIZED, Answer
from gateway.gate import External, Unasked
from gateway.idempotency import Keys, Scoped
from gateway.jobs import Asked, Cancel, Check, Claim, Comment, Log, closed, named_agent
from gateway.lateness import Lateness
from gateway.policies import Era, Policies
from gateway.writer import Batch, Lane, Unavailable

ROUNDS = 4  # times that a job is submitted, where an external OPA has to be asked something else by then


class Lanes:
    """Where jobs go, and what is done with them in their transaction."""

    def __init__(self, conninfo: dict[str, Any], policies: Policies, external: External) -> None:
        self._policies = policies
        self._lateness = Lateness()
        self._external = external
        self.quick: Lane[Asked] = Lane("quick", conninfo, self._quick, policies.forget)
        self.careful: Lane[Asked] = Lane("careful", conninfo, self._careful, policies.forget)

    async def run(self, job: Asked) -> Answer:
        """The answer to `job`, once what it says is durable. Raises writer.Unavailable."""
        plain = job.idempotency_key is None and (
            (isinstance(job, Check) and not job.is_kept)
            or (isinstance(job, Log) and job.body.approval_id is None and job.body.decision_id is None)
        )
        for _ in range(ROUNDS):
            await self._external.prepare(job)
            (self.quick if plain else self.careful).submit(job)
            answer = await job.future
            if answer is not None:
                return answer
            job.renew()
        raise Unavailable  # the policy changes faster than its external OPA can be asked

    async def _era(self, batch: Batch, jobs: list[Asked]) -> Era:
        """What is at least as new as this batch, with the keys of all its jobs."""
        era = self._policies.at(batch.epoch)
        if missing := {job.key_hash for job in jobs if era.cached_key(job.key_hash) is None}:
            await asyncio.gather(*map(era.key, missing))
        return era

    async def _admit(self, job: Asked, batch: Batch, era: Era) -> tuple[KeyFacts, Loaded] | None:
        """The key and the policy of now; None, with the job answered, where the key no longer opens this."""
        key = era.cached_key(job.key_hash)
        if key is None or (refused := closed(key, batch.now, job.scope_needed)):
            job.answer = UNAUTHORIZED if key is None else refused
            return None
        try:
            loaded = era.known(key.organization_id) or await era.of(key.organization_id)
        except Unavailable:
            job.refuse()  # it alone: another organization's policy is no reason to fail the batch
            return None
        if loaded is None:
            job.answer = UNAUTHORIZED
            return None
        if isinstance(job, Check) and (refusal := job.refusal(key, loaded)):
            job.answer = checking.refuse(job, refusal, key, batch)
            return None
        if isinstance(job, Log) and (refused := named_agent(key, loaded, job.body.agent_id)):
            job.answer = refused
            return None
        if loaded.gate is not None and isinstance(job, Check):
            with _back(job, batch) as is_back:
                checking.judge(job, key, loaded, batch)
            if is_back:
                return None
        return key, loaded

    async def _quick(self, batch: Batch, jobs: list[Asked]) -> None:
        era = await self._era(batch, jobs)
        limited: list[checking.Judged] = []
        let_in = [(job, found) for job in jobs if (found := await self._admit(job, batch, era))]
        await self._lateness.look(batch, (found for _, found in let_in))
        await covering.cover(batch, let_in)
        for job, admitted in let_in:
            if isinstance(job, Check):
                judged = checking.judge(job, *admitted, batch)
                if judged.decision.outcome == "ask":
                    batch.after.append(partial(self.careful.submit, job))
                elif judged.needs:
                    limited.append(judged)
                else:
                    job.answer = checking.settle(judged, batch)
            elif isinstance(job, Log):
                job.answer = await telling.tell(job, *admitted, batch)
        if limited:
            await budgeting.settle(batch, limited)

    async def _careful(self, batch: Batch, jobs: list[Asked]) -> None:
        era = await self._era(batch, jobs)
        admitted: dict[Asked, tuple[KeyFacts, Loaded]] = {}
        keyed: dict[Scoped, list[Asked]] = {}
        todo: list[Asked] = []
        for job in jobs:
            found = await self._admit(job, batch, era)
            if found is None:
                continue
            admitted[job] = found
            if job.idempotency_key is None:
                todo.append(job)
            else:
                keyed.setdefault((job.scope(*found), job.idempotency_key), []).append(job)
        await self._lateness.look(batch, admitted.values())
        await covering.cover(batch, admitted.items())
        keys = Keys(batch)
        todo += await keys.open(keyed)
        asked_about = calls.Calls(batch)
        todo = await asked_about.open(calls.refuse_covered(todo), admitted)
        asks: list[checking.Judged] = []
        limited: list[checking.Judged] = []
        # Locks are taken in one order, so that two processes never wait for each other in a circle.
        for job in sorted(todo, key=_order):
            key, loaded = admitted[job]
            if isinstance(job, Check):
                judged = checking.judge(job, key, loaded, batch)
                if judged.decision.outcome == "ask" and not await asked_about.is_refused(judged):
                    asks.append(judged)
                elif judged.needs and judged.decision.outcome != "deny":
                    limited.append(judged)
                else:
                    job.answer = checking.settle(judged, batch)
            elif isinstance(job, calls.OfCall):
                with _back(job, batch):
                    job.answer = await job.run(key, loaded, batch)
            elif isinstance(job, Log):
                job.answer = (
                    await telling.tell_outcome(job, key, loaded, batch)
                    if _refers(job)
                    else await telling.tell(job, key, loaded, batch)
                )
            elif isinstance(job, Claim):
                with _back(job, batch):
                    job.answer = await claiming.claim(job, key, loaded, batch)
            elif isinstance(job, Cancel):
                job.answer = await claiming.cancel(job, key, batch)
            elif isinstance(job, Comment):
                job.answer = await talking.comment(job, key, batch)
        asked = await self._ask(batch, asks) if asks else []
        await budgeting.settle(batch, limited, asked)
        await keys.close()
        await asked_about.close(admitted)

    async def _ask(
        self, batch: Batch, asks: list[checking.Judged]
    ) -> list[tuple[checking.Judged, intake.Reply | Granted]]:
        ended: list[Any] = []
        replies = await intake.ask(batch.connection, [checking.ask(judged) for judged in asks], batch.now, ended)
        for entry in ended:
            batch.record(entry)
            batch.announced()
        return list(zip(asks, replies, strict=True))


def _refers(job: Log) -> bool:
    return job.body.approval_id is not None or job.body.decision_id is not None


def _order(job: Asked) -> bytes:
    approval_id = job.approval_id if isinstance(job, Claim | Cancel | Comment | Log | calls.OfCall) else None
    return approval_id.bytes if approval_id else b""


@contextmanager
def _back(job: Asked, batch: Batch) -> Iterator[list[bool]]:
    """Within, what is raised as unasked sends the job back, once this batch is over; then the list is not empty."""
    is_back: list[bool] = []
    try:
        yield is_back
    except Unasked:
        is_back.append(True)
        batch.after.append(job.again)
