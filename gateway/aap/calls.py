"""Calls of tools, from the request to its outcome: what the careful lane does for /aap.

A call is a check, judged, asked about, recorded and budgeted like any other; it is kept besides, so that its client
finds it again under its idempotency key, and always as it was sent.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
from msgspec import UNSET

from agents import policy
from agents.load import AgentFacts, KeyFacts, Loaded
from agents.opa.asking import asks
from agents.opa.gate import REFUSALS, tighten
from approvals import holding, moves, states
from approvals.calls import intake as kept
from approvals.calls.intake import Call
from approvals.digest import digest
from audit.canonical import canonical
from audit.ids import new_id, read_id, show_id
from audit.leaf import Entry
from gateway import claiming, gate, telling
from gateway.aap import errors
from gateway.aap.answers import created, shown
from gateway.aap.bodies import CallBody, OutcomeBody, RawCall
from gateway.aap.names import action_of
from gateway.answers import Answer, error
from gateway.bodies import CheckAnswer, CheckBody, LogBody
from gateway.checking import LATE, Judged, late
from gateway.jobs import Asked, Check, Claim, Log, actor
from gateway.parse import Malformed, parse, read
from gateway.writer import Batch

UNITS = {"s": 1, "m": 60, "h": 3_600}
LONGEST = 2_592_000  # seconds that a request may wait, whatever its rule
KEPT = Answer(200, b"")  # it is answered by what is kept
REFUSED = "refused_lately"
Admitted = Mapping[Asked, tuple[KeyFacts, Loaded]]


class Ask(Check):
    """POST /aap/v1/requests"""

    __slots__ = ("asked", "call", "creation_key", "raw", "said")
    endpoint = "aap"
    scope_needed = "aap"
    is_kept = True

    def __init__(self, key: KeyFacts, key_hash: bytes, body: bytes, creation_key: str) -> None:
        """Reads `body`. Raises Malformed."""
        self.asked = read(body, CallBody)
        self.raw = msgspec.json.decode(body, type=RawCall)
        if parse(bytes(self.raw.arguments)) != self.asked.arguments:
            raise Malformed("arguments: cannot be read for certain")
        action = action_of(self.asked.tool, self.asked.server or None)
        said = CheckBody(
            str(key.agent_id),
            action,
            self.asked.arguments,
            self.asked.agent_reasoning or None,
            expires_in=seconds(self.asked.timeout),
        )
        super().__init__(key_hash, said, None)
        self.creation_key = creation_key
        self.call: Call
        self.said: CheckAnswer | None = None

    def begin(self, key: KeyFacts, batch: Batch) -> Call:
        """The call as it is kept before anything is decided."""
        self.request_id, self.said, asked = new_id(), None, self.asked
        alike = digest(
            organization_id=key.organization_id,
            mode=key.mode,
            agent_id=key.agent_id or self.request_id,
            action=self.body.action,
            callee=None,
            environment=key.environment,
            context=self.context,
            permission_id="",
        )
        self.call = Call(
            id=self.request_id,
            organization_id=key.organization_id,
            key_id=key.id,
            idempotency_key=self.creation_key,
            body_hash=self.body_hash(),
            call_hash=alike,
            action=self.body.action,
            tool=asked.tool,
            server=asked.server or None,
            arguments=bytes(self.raw.arguments).decode(),
            timeout=asked.timeout,
            reasoning=None if asked.agent_reasoning is UNSET else asked.agent_reasoning,
            context=None if self.raw.context is UNSET else bytes(self.raw.context).decode(),
            created_at=batch.now,
            deadline_at=batch.now + timedelta(seconds=self.body.expires_in or 0),
        )
        return self.call

    def answer_of(self, said: CheckAnswer, code: str) -> Answer:
        self.said = said
        return KEPT

    def body_hash(self) -> bytes:
        """Over the fields, whatever their order and spacing."""
        asked = self.asked
        optional = [asked.server, asked.agent_reasoning, asked.context]
        given = [[] if value is UNSET else [value] for value in optional]
        return hashlib.sha256(canonical([asked.tool, asked.arguments, asked.timeout, *given]).encode()).digest()


def seconds(duration: str) -> int:
    """`30s`, `30m`, `24h`; at most LONGEST."""
    return min(int(duration[:-1]) * UNITS[duration[-1]], LONGEST)


def refuse_covered(jobs: list[Asked]) -> list[Asked]:
    """Answers the calls of which a privacy rule lets something not be kept: they could not be given back as they were
    sent. Returns the others.
    """
    for job in jobs:
        if isinstance(job, Ask) and job.is_covered:
            job.answer = errors.COVERED
    return [job for job in jobs if job.answer is not errors.COVERED]


class Calls:
    """The calls that are asked about in one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._opened: list[Ask] = []
        self._again: list[Ask] = []

    async def open(self, jobs: list[Asked], admitted: Admitted) -> list[Asked]:
        """Keeps what is new; returns all jobs but those whose idempotency key was used before."""
        asks = [job for job in jobs if isinstance(job, Ask)]
        # One order for everybody: two writers never wait for each other in a circle.
        for job in sorted(asks, key=lambda each: (admitted[each][0].id, each.creation_key)):
            is_new = await kept.keep(self._batch.connection, job.begin(admitted[job][0], self._batch))
            (self._opened if is_new else self._again).append(job)
        return [job for job in jobs if job not in self._again]

    async def is_refused(self, judged: Judged) -> bool:
        """Whether people said no to the same call so lately that it answers this one too: then it is denied."""
        job = judged.job
        if not isinstance(job, Ask):
            return False
        earlier = await kept.before(self._batch.connection, job.call.id, job.call.call_hash)
        if earlier is None:
            return False
        now = self._batch.now
        state, cooldown = earlier.state(now), timedelta(seconds=judged.loaded.cooldown_seconds)
        if state not in (states.DENIED, states.EXPIRED) or earlier.ended_at + cooldown <= now:
            return False
        decision = judged.decision
        judged.decision = replace(decision, outcome="deny", code=REFUSED, reason=claiming_words(earlier, state))
        return True

    async def close(self, admitted: Admitted) -> None:
        """Keeps what was decided without a person, and answers everybody by what is kept."""
        connection, now = self._batch.connection, self._batch.now
        for job in self._opened:
            if job.answer is not KEPT or job.said is None:
                raise RuntimeError("a call was not judged")
            said, loaded = job.said, admitted[job][1]
            values = {"note": said.reason, "decided_at": now}
            if said.allowed:
                until = now + timedelta(seconds=loaded.claim_seconds)
                grant_id = read_id("grt", said.grant_id) if said.grant_id else None
                await kept.decide(
                    connection, job.call.id, status=states.APPROVED, expires_at=until, grant_id=grant_id, **values
                )
            elif said.status != states.PENDING:
                await kept.decide(connection, job.call.id, status=states.DENIED, **values)
        found = await kept.fetch(connection, [job.call.id for job in self._opened]) if self._opened else {}
        for job in self._opened:
            job.answer = created(found[job.call.id], now)
        for job in self._again:
            call = await kept.find(connection, admitted[job][0].id, job.creation_key)
            if call is None:
                raise RuntimeError("a used idempotency key leads nowhere")
            job.answer = shown(call, now) if bytes(call.body_hash) == job.call.body_hash else errors.KEY_REUSED


def claiming_words(call: Call, state: str) -> str:
    """Why people's word on the same call answers this one."""
    if state == states.EXPIRED:
        return "The same call expired a short while ago: nobody decided in time"
    return "The same call was denied a short while ago" + (f": {call.asked_reason}" if call.asked_reason else "")


class OfCall(Asked):
    """What is done with a call that was asked about. Another instance's is not there."""

    __slots__ = ("approval_id",)
    scope_needed = "aap"

    def __init__(self, key_hash: bytes, call_id: uuid.UUID) -> None:
        super().__init__(key_hash)
        self.approval_id = call_id

    async def run(self, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer:
        call = await kept.lock(batch.connection, self.approval_id)
        if call is None or call.key_id != key.id:
            return errors.NO_REQUEST
        refused = await self._do(call, key, loaded, batch)
        if refused is not None:
            return refused
        return shown((await kept.fetch(batch.connection, [call.id]))[call.id], batch.now)

    async def _do(self, call: Call, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer | None:
        """Does it. Returns why not; None where it is done, now or before."""
        raise NotImplementedError


class Cancel(OfCall):
    """DELETE /aap/v1/requests/{id}"""

    __slots__ = ()

    async def _do(self, call: Call, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer | None:
        state = call.state(batch.now)
        if state == states.CANCELLED:
            return None
        if state != states.PENDING:
            return errors.TERMINAL
        ended = await moves.cancel(batch.connection, call.id, batch.now)
        if ended is None:
            return errors.TERMINAL
        batch.announced()
        batch.record(
            holding.entry(ended, "agent:approval:cancel", actor(key, ended.agent_slug), result=states.CANCELLED)
        )
        return None


class Consume(OfCall):
    """POST /aap/v1/requests/{id}/consume"""

    __slots__ = ("consume_key",)

    def __init__(self, key_hash: bytes, call_id: uuid.UUID, consume_key: str) -> None:
        super().__init__(key_hash, call_id)
        self.consume_key = consume_key

    async def _do(self, call: Call, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer | None:
        if call.consumed_at is not None:
            return None if call.consume_key == self.consume_key else errors.CONSUMED
        if call.state(batch.now) != states.APPROVED:
            return errors.NOT_APPROVED
        refused = await (self._at_once if call.status else self._asked)(call, key, loaded, batch)
        if refused is None and not await kept.consume(batch.connection, call.id, self.consume_key, batch.now):
            raise RuntimeError("a locked call was consumed by somebody else")
        return refused

    async def _asked(self, call: Call, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer | None:
        """Takes the approval that people gave."""
        taking = Claim(self.key_hash, call.id, self.consume_key)
        taking.gated = self.gated
        answer = await claiming.claim(taking, key, loaded, batch)
        if answer.status == 200:
            return None
        known = {claiming.ALREADY_CLAIMED: errors.CONSUMED, claiming.EXPIRED: errors.EXPIRED}
        if answer in known or answer.status != 409:
            return known.get(answer, errors.NO_REQUEST)
        return error(409, msgspec.json.decode(answer.body)["detail"], "not_approved")

    async def _at_once(self, call: Call, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer | None:
        """Takes what the policy allowed, if it still does (I5)."""
        if call.expires_at is None or call.expires_at <= batch.now:
            return errors.EXPIRED
        agent, request = self._request(call, key, loaded)
        decision, said = policy.decide(loaded.policy, request, batch.now), None
        if (question := asks(key.mode, loaded, agent, request, decision, claiming=True)) is not None:
            said = gate.answer_to(self, loaded, question)
            decision = tighten(decision, said)
        decision = late(loaded, decision, batch)
        permission = decision.permission
        because = "" if decision.outcome == "allow" else f"The policy changed: {decision.reason}"
        if decision.code == LATE or decision.code in policy.STOPPED or decision.code in REFUSALS:
            because = decision.reason
        elif decision.outcome == "ask" and call.grant_id:
            still = await kept.is_granted(batch.connection, call.grant_id)
            because = "" if still else "The grant that allowed it was taken back"
        batch.record(
            Entry(
                kind="agent:call:refuse" if because else "agent:call:consume",
                organization_id=key.organization_id,
                mode=key.mode,
                actor=actor(key, agent.slug),
                agent=agent.slug,
                action=call.action,
                target=show_id("req", call.id),
                result="deny" if because else "allow",
                data={
                    "permission": permission.action if permission else None,
                    "policy_version": loaded.policy.version,
                    **({"reason": because} if because else {}),
                    **({"external_opa": said.facts} if said else {}),
                },
            )
        )
        return error(409, because, "not_approved") if because else None

    @staticmethod
    def _request(call: Call, key: KeyFacts, loaded: Loaded) -> tuple[AgentFacts, policy.Request]:
        """The call as the policy is asked again."""
        agent = loaded.agents[str(key.agent_id)]
        arguments = parse(call.arguments.encode())
        return agent, policy.Request(str(agent.id), call.action, arguments, key.environment or None)

    async def question(self, external: gate.External, key: KeyFacts, loaded: Loaded, now: datetime) -> str | None:
        seen = await external.calls.read(self.approval_id)
        call = seen.call
        if call is None or call.key_id != key.id or call.consumed_at is not None:
            return None
        if not call.status:
            return await external.of_claim(call.id, key, loaded)
        agent, request = self._request(call, key, loaded)
        decision = policy.decide(loaded.policy, request, seen.now)
        return asks(key.mode, loaded, agent, request, decision, claiming=True)


class Report(OfCall):
    """POST /aap/v1/requests/{id}/outcome"""

    __slots__ = ("body",)

    def __init__(self, key_hash: bytes, call_id: uuid.UUID, body: OutcomeBody) -> None:
        super().__init__(key_hash, call_id)
        self.body = body

    async def _do(self, call: Call, key: KeyFacts, loaded: Loaded, batch: Batch) -> Answer | None:
        status, note = self.body.status, self.body.note or None
        if call.consumed_at is None:
            return errors.NOT_CONSUMED
        if call.outcome:
            return None if (call.outcome, call.outcome_note) == (status, note) else errors.OTHER_OUTCOME
        await kept.report(batch.connection, call.id, status, note, batch.now)
        said = "success" if status == "succeeded" else "failed"
        target = show_id("req" if call.status else "apr", call.id)
        if not call.status:
            await moves.log_outcome(batch.connection, call.id, said, batch.now)
        context = {"note": note} if note else None
        agent_id = str(loaded.agents[str(key.agent_id)].id)
        log = Log(self.key_hash, LogBody(agent_id, call.action, said, context), None)  # type: ignore[arg-type]
        await telling.tell(log, key, loaded, batch, target)
        return None
