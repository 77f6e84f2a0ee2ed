"""What agents ask for, once read and authenticated: the jobs that the lanes run."""

import hashlib
import uuid
from typing import Any

from agents.load import KeyFacts, Loaded
from audit.canonical import canonical
from audit.leaf import Actor
from gateway.answers import FOREIGN_AGENT, NO_AGENT, Answer
from gateway.bodies import CheckBody, LogBody
from gateway.writer import Job


class Asked(Job[Answer]):
    """One request of one key. The key is looked up again in the transaction that records the answer."""

    __slots__ = ("idempotency_key", "key_hash")
    endpoint = ""

    def __init__(self, key_hash: bytes, idempotency_key: str | None = None) -> None:
        super().__init__()
        self.key_hash = key_hash
        self.idempotency_key = idempotency_key

    def about(self) -> str:
        """Whose idempotency keys these are, within the organization."""
        raise NotImplementedError

    def body_hash(self) -> bytes:
        """What an idempotency key is bound to."""
        raise NotImplementedError


class Check(Asked):
    __slots__ = ("body", "context", "context_text", "counted")
    endpoint = "check"

    def __init__(self, key_hash: bytes, body: CheckBody, idempotency_key: str | None) -> None:
        super().__init__(key_hash, idempotency_key)
        self.body = body
        self.context: dict[str, Any] = body.context or {}
        self.context_text = canonical(self.context)
        self.counted: tuple[str, str, str] | None = None  # as gateway.metrics.checked() wants it

    def about(self) -> str:
        return self.body.agent_id

    def body_hash(self) -> bytes:
        body = self.body
        text = canonical([body.agent_id, body.action, self.context, body.reasoning, body.expires_in])
        return hashlib.sha256(text.encode()).digest()


class Log(Asked):
    __slots__ = ("body",)
    endpoint = "log"

    def __init__(self, key_hash: bytes, body: LogBody, idempotency_key: str | None) -> None:
        super().__init__(key_hash, idempotency_key)
        self.body = body

    def about(self) -> str:
        return self.body.agent_id

    def body_hash(self) -> bytes:
        body = self.body
        fields = [body.agent_id, body.action, body.status, body.context, body.approval_id, body.decision_id]
        return hashlib.sha256(canonical([*fields, body.ip_address]).encode()).digest()


class Claim(Asked):
    __slots__ = ("approval_id",)
    endpoint = "claim"

    def __init__(self, key_hash: bytes, approval_id: uuid.UUID, idempotency_key: str) -> None:
        super().__init__(key_hash, idempotency_key)
        self.approval_id = approval_id

    def about(self) -> str:
        return ""

    def body_hash(self) -> bytes:
        return hashlib.sha256(self.approval_id.bytes).digest()


class Cancel(Asked):
    __slots__ = ("approval_id",)
    endpoint = "cancel"

    def __init__(self, key_hash: bytes, approval_id: uuid.UUID) -> None:
        super().__init__(key_hash)
        self.approval_id = approval_id


def actor(facts: KeyFacts, slug: str) -> Actor:
    """An agent in the record: the key that spoke, and for whom."""
    return Actor("agent", str(facts.id), slug)


def named_agent(facts: KeyFacts, loaded: Loaded, agent_id: str) -> Answer | None:
    """Why this key may not speak for that agent; None where it may."""
    agent = loaded.agents.get(agent_id)
    if facts.agent_id is not None and (agent is None or agent.id != facts.agent_id):
        return FOREIGN_AGENT
    return NO_AGENT if agent is None else None
