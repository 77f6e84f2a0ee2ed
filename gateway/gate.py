"""The external OPA at the door: asked before a job goes to its lane, never within a transaction.

What it said holds for one question to one OPA. Where the policy of the transaction asks another question than the one
that was asked, the job comes back, and it is asked again.
"""

import asyncio
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog

from agents import policy
from agents.load import AgentFacts, KeyFacts, Loaded
from agents.opa import gate
from agents.opa.asking import asks
from agents.opa.client import BadCredentials, Client, written
from agents.opa.gate import Gate, OpaSaid
from approvals import states
from approvals.holding import Held
from audit.canonical import read_canonical
from gateway import metrics
from gateway.jobs import Asked, Check, Gated, closed
from gateway.policies import Policies

if TYPE_CHECKING:
    from gateway.aap.reading import Calls
    from gateway.waiting import Approvals

log = structlog.get_logger(__name__)
CLIENTS = 64  # OPAs to which one process keeps connections
LOOK = 10.0  # seconds after which files of credentials are looked at again
GONE = 15.0  # seconds that connections with former credentials are kept for those who wait on them
RETRY = 2.0  # seconds after credentials could not be read


class Unasked(Exception):
    """An external OPA has to be asked before this can be answered: it goes back, and nothing was done."""


def answered(job: Asked, loaded: Loaded, text: str) -> OpaSaid | None:
    """What was said to exactly this question by exactly this OPA; None where it has to be asked (again)."""
    gated = job.gated
    return gated.said if gated and gated.text == text and gated.gate == loaded.gate else None


def answer_to(job: Asked, loaded: Loaded, text: str) -> OpaSaid:
    """The same. Raises Unasked."""
    said = answered(job, loaded, text)
    if said is None:
        raise Unasked
    return said


def request_of(job: Check, key: KeyFacts, agent: AgentFacts) -> policy.Request:
    """A check as the policy is asked it."""
    return policy.Request(str(agent.id), job.body.action, job.context, key.environment or None, job.callee or None)


def asks_of(held: Held, key: KeyFacts, loaded: Loaded) -> str | None:
    """The question about an approval that is to be taken, as it is stored: what is kept covered stays covered."""
    agent = loaded.agents.get(str(held.agent_id))
    if loaded.gate is None or agent is None:
        return None
    kept, context = json.loads(held.permission), read_canonical(held.context)
    return gate.question(
        organization=loaded.slug,
        mode=key.mode,
        spiffe_id=agent.spiffe_id or None,
        slug=agent.slug,
        action=held.action,
        context=context,
        environment=held.environment or None,
        callee=held.callee or None,
        amount=_amount(context),
        currency=given if type(given := context.get("currency")) is str else kept["currency"],
        permission=kept["action"],
        risk=kept["risk"],
        decision="ask",
        claiming=True,
    )


def _amount(context: Mapping[str, Any]) -> Decimal | None:
    """The amount that a context says; None where it says none, or keeps it covered."""
    try:
        return policy.parse_amount(context["amount"])
    except (KeyError, policy.AmountError):
        return None


class External:
    """One per process: the OPAs of its organizations."""

    def __init__(self, policies: Policies, reader: "Approvals", calls: "Calls") -> None:
        self._policies = policies
        self._reader = reader
        self.calls = calls
        self._clients: OrderedDict[Gate, tuple[Client | None, float]] = OrderedDict()
        self._opening: dict[Gate, asyncio.Task[Client | None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def prepare(self, job: Asked) -> None:
        """Asks what will have to be known, by what is in memory: the transaction sees whether it was the right thing.

        Without an external OPA this costs two look-ups. Raises writer.Unavailable, from reading an approval.
        """
        era = self._policies.current
        key = era.cached_key(job.key_hash)
        loaded = era.known(key.organization_id) if key else None
        if key is None or loaded is None or loaded.gate is None:
            return
        now = datetime.now(UTC)  # of this machine: what it leads to is decided by the database's clock
        if closed(key, now, job.scope_needed):
            return
        text = await job.question(self, key, loaded, now)
        if text is not None and answered(job, loaded, text) is None:
            said = await self.ask(loaded.gate, text)
            if key.mode == "live":
                metrics.gated(said.outcome, said.milliseconds / 1_000)
            job.gated = Gated(loaded.gate, text, said)

    def of_check(self, job: Check, key: KeyFacts, loaded: Loaded, now: datetime) -> str | None:
        """What has to be asked before a check."""
        if job.refusal(key, loaded):
            return None
        agent = loaded.agents[job.body.agent_id]
        request = request_of(job, key, agent)
        return asks(key.mode, loaded, agent, request, policy.decide(loaded.policy, request, now))

    async def of_claim(self, approval_id: uuid.UUID, key: KeyFacts, loaded: Loaded) -> str | None:
        """What has to be asked before an approval is taken."""
        seen = await self._reader.read(approval_id)
        held = seen.held
        if held is None or held.organization_id != key.organization_id or held.status(seen.now) != states.APPROVED:
            return None
        return asks_of(held, key, loaded)

    async def ask(self, opa: Gate, text: str) -> OpaSaid:
        """What this OPA says. Never raises."""
        client = await self._client(opa)
        if client is None:
            return gate.failed("Its credentials cannot be read")
        said = await client.ask(text)
        if said.outcome == "failed":
            log.warning("gateway.opa_failed", url=opa.url, because=said.because)
        return said

    async def _client(self, opa: Gate) -> Client | None:
        """Its client, with credentials as they are now; None where they cannot be read."""
        known = self._clients.get(opa)
        if known and time.monotonic() < known[1]:
            self._clients.move_to_end(opa)
            return known[0]
        if (opening := self._opening.get(opa)) is None:
            opening = self._opening[opa] = asyncio.create_task(self._open(opa), name="opa")
        return await asyncio.shield(opening)

    async def _open(self, opa: Gate) -> Client | None:
        former = self._clients.get(opa, (None, 0.0))[0]
        try:
            if former and await asyncio.to_thread(written, opa) == former.credentials.written:
                client = former
            else:
                client = await asyncio.to_thread(Client, opa)
        except BadCredentials as error:
            log.error("gateway.opa_credentials", url=opa.url, error=str(error))
            self._keep(opa, None, RETRY, former)
            return None
        finally:
            del self._opening[opa]
        self._keep(opa, client, LOOK, former)
        return client

    def _keep(self, opa: Gate, client: Client | None, seconds: float, former: Client | None) -> None:
        self._clients[opa] = (client, time.monotonic() + seconds)
        self._clients.move_to_end(opa)
        left = [former] if former and former is not client else []
        while len(self._clients) > CLIENTS:
            _, (oldest, _) = self._clients.popitem(last=False)
            left += [oldest] if oldest else []
        for each in left:
            task = asyncio.create_task(_close_later(each), name="opa-close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Ends all connections."""
        for task in [*self._closing, *self._opening.values()]:
            task.cancel()
        for client, _ in self._clients.values():
            if client:
                await client.close()


async def _close_later(client: Client) -> None:
    try:
        await asyncio.sleep(GONE)
    finally:
        await client.close()
