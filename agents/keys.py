"""What a credential of an agent opens, as the gateway needs to know it."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from audit.leaf import Mode


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """An agent's credential, as the gateway needs it."""

    id: uuid.UUID
    name: str
    organization_id: uuid.UUID
    agent_id: uuid.UUID | None
    mode: Mode
    environment: str
    scopes: frozenset[str]
    rate_limit: int | None
    expires_at: datetime | None
    created_by: uuid.UUID | None
    revoked: bool

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at `now`, the database's clock."""
        return not self.revoked and (self.expires_at is None or now < self.expires_at)
