"""What agents ask for, once read and authenticated: the jobs that the lanes run."""

import hashlib
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.load import KeyFacts, Loaded
from agents.opa.gate import Gate, OpaSaid
from audit.canonical import canonical
from audit.ids import read_id
from audit.leaf import Actor
from audit.sealing import MARK, is_marked
from gateway.answers import FOREIGN_AGENT, NO_AGENT, NO_SCOPE, UNAUTHORIZED, Answer, ok
from gateway.bodies import CheckAnswer, CheckBody, CommentBody, LogBody
from gateway.parse import Malformed
from gateway.writer import Job

if TYPE_CHECKING:
    from gateway.gate import External


class Refusal(NamedTuple):
    """A check that the policy is not asked about: a word for the record, and what /sdk answers."""

    code: str
    answer: Answer


class Gated(NamedTuple):
    """What one external OPA said to one question."""

    gate: Gate
    text: str
    said: OpaSaid


class Asked(Job[Answer]):
    """One request of one key. The key is looked up again in the transaction that records the answer."""

    __slots__ = ("gated", "idempotency_key", "key_hash")
    endpoint = ""
    scope_needed = "sdk"

    def __init__(self, key_hash: bytes, idempotency_key: str | None = None) -> None:
        super().__init__()
        self.key_hash = key_hash
        self.idempotency_key = idempotency_key
        self.gated: Gated | None = None  # what an external OPA said, where one was asked

    def scope(self, key: KeyFacts, loaded: Loaded) -> str:
        """Where an idempotency key means one thing: nobody else's answer is ever repeated to this key (I4, I10)."""
        agent_id = self.agent_id(key, loaded)
        return f"{self.endpoint}:{key.organization_id}:{key.mode}:{key.environment}:{agent_id or ''}"

    def agent_id(self, key: KeyFacts, loaded: Loaded) -> uuid.UUID | None:
        """The agent that this key speaks for here; None for one that speaks for all."""
        return key.agent_id

    async def question(self, external: "External", key: KeyFacts, loaded: Loaded, now: datetime) -> str | None:
        """What the organization's external OPA has to be asked before this; None: nothing."""
        return None

    def body_hash(self) -> bytes:
        """What an idempotency key is bound to."""
        raise NotImplementedError


class Check(Asked):
    """`callee` is whom the action is done to, `trace_id` the trace it is part of, where the asker says so."""

    __slots__ = ("body", "callee", "context", "counted", "request_id", "stored", "stored_text", "trace_id")
    endpoint = "check"
    is_kept = False  # whether it is kept beside the record, and so needs the careful lane

    def __init__(self, key_hash: bytes, body: CheckBody, idempotency_key: str | None) -> None:
        super().__init__(key_hash, idempotency_key)
        self.body = body
        self.callee = self.trace_id = ""
        self.context: dict[str, Any] = body.context or {}
        self.stored: dict[str, Any] = self.context  # as it may be kept: see gateway.covering
        self.stored_text = unmarked(canonical(self.context))
        self.counted: tuple[str, str, str] | None = None  # as gateway.metrics.checked() wants it
        self.request_id: uuid.UUID | None = None  # where this call is a request of its own, whatever is alike

    @property
    def is_covered(self) -> bool:
        """Whether something of its context is kept covered."""
        return self.stored is not self.context

    def cover(self, stored: dict[str, Any]) -> None:
        self.stored, self.stored_text = stored, canonical(stored)

    def uncover(self) -> None:
        self.cover(self.context)

    def agent_id(self, key: KeyFacts, loaded: Loaded) -> uuid.UUID:
        return loaded.agents[self.body.agent_id].id

    async def question(self, external: "External", key: KeyFacts, loaded: Loaded, now: datetime) -> str | None:
        return external.of_check(self, key, loaded, now)

    def refusal(self, key: KeyFacts, loaded: Loaded) -> Refusal | None:
        """Why this key does not get to ask the policy; None where it does."""
        refused = named_agent(key, loaded, self.body.agent_id)
        return Refusal("unknown_agent", refused) if refused else None

    def answer_of(self, said: CheckAnswer, code: str) -> Answer:
        """What is decided, in the words of who asks. `code` is the decision's."""
        return ok(said)

    def refused(self, refusal: Refusal, decision_id: str) -> Answer:
        """Why nothing was decided, in the words of who asks."""
        return refusal.answer

    def body_hash(self) -> bytes:
        body = self.body
        text = canonical([body.agent_id, body.action, self.stored, body.reasoning, body.expires_in])
        return hashlib.sha256(text.encode()).digest()


class Log(Asked):
    __slots__ = ("approval_id", "body", "stored")
    endpoint = "log"

    def __init__(self, key_hash: bytes, body: LogBody, idempotency_key: str | None) -> None:
        super().__init__(key_hash, idempotency_key)
        self.body = body
        self.approval_id = read_id("apr", body.approval_id) if body.approval_id else None
        self.stored = body.context
        if body.context:
            unmarked(canonical(body.context))

    @property
    def is_covered(self) -> bool:
        """Whether something of its context is kept covered."""
        return self.stored is not self.body.context

    def cover(self, stored: dict[str, Any]) -> None:
        self.stored = stored

    def uncover(self) -> None:
        self.stored = self.body.context

    def agent_id(self, key: KeyFacts, loaded: Loaded) -> uuid.UUID:
        return loaded.agents[self.body.agent_id].id

    def body_hash(self) -> bytes:
        body = self.body
        fields = [body.agent_id, body.action, body.status, self.stored, body.approval_id, body.decision_id]
        return hashlib.sha256(canonical([*fields, body.ip_address]).encode()).digest()


class Claim(Asked):
    """`audience` is whom the receipt is for, where the agent names one."""

    __slots__ = ("approval_id", "audience")
    endpoint = "claim"

    def __init__(self, key_hash: bytes, approval_id: uuid.UUID, idempotency_key: str, audience: str = "") -> None:
        super().__init__(key_hash, idempotency_key)
        self.approval_id = approval_id
        self.audience = audience

    async def question(self, external: "External", key: KeyFacts, loaded: Loaded, now: datetime) -> str | None:
        return await external.of_claim(self.approval_id, key, loaded)

    def body_hash(self) -> bytes:
        return hashlib.sha256(self.approval_id.bytes + self.audience.encode()).digest()


class Comment(Asked):
    __slots__ = ("approval_id", "body")
    endpoint = "comment"

    def __init__(self, key_hash: bytes, approval_id: uuid.UUID, body: CommentBody, idempotency_key: str | None) -> None:
        super().__init__(key_hash, idempotency_key)
        self.approval_id = approval_id
        self.body = body

    def body_hash(self) -> bytes:
        attached = self.body.attachment
        fields = [str(self.approval_id), self.body.text, [attached.name, attached.text] if attached else None]
        return hashlib.sha256(canonical(fields).encode()).digest()


class Cancel(Asked):
    __slots__ = ("approval_id",)
    endpoint = "cancel"

    def __init__(self, key_hash: bytes, approval_id: uuid.UUID) -> None:
        super().__init__(key_hash)
        self.approval_id = approval_id


def unmarked(text: str) -> str:
    """The same text. Raises Malformed where it holds the mark of what is kept covered: that is Warden's alone."""
    if is_marked(text):
        raise Malformed(f"context: {MARK} is reserved")
    return text


def actor(facts: KeyFacts, slug: str) -> Actor:
    """An agent in the record: the key that spoke, and for whom."""
    return Actor("agent", str(facts.id), slug)


def closed(key: KeyFacts, now: datetime, scope: str = "sdk") -> Answer | None:
    """Why this key opens nothing at `now`, the database's clock; None where it has `scope`."""
    if not key.is_valid(now):
        return UNAUTHORIZED
    return None if scope in key.scopes else NO_SCOPE


def named_agent(facts: KeyFacts, loaded: Loaded, agent_id: str) -> Answer | None:
    """Why this key may not speak for that agent; None where it may."""
    agent = loaded.agents.get(agent_id)
    if facts.agent_id is not None and (agent is None or agent.id != facts.agent_id):
        return FOREIGN_AGENT
    return NO_AGENT if agent is None else None
