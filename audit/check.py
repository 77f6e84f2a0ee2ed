"""Whether a row of the record is what its leaf says: pure, over one event."""

from dataclasses import dataclass
from typing import Any

from audit.canonical import canonical
from audit.ids import show_id
from audit.leaf import leaf_hash, read_body, timestamp
from audit.models import Event


@dataclass(frozen=True, slots=True)
class Checked:
    """What was recomputed. `differs` names the columns that say something else than the body."""

    leaf: str
    leaf_matches: bool
    is_canonical: bool
    differs: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.leaf_matches and self.is_canonical and not self.differs


def verify_row(event: Event) -> Checked:
    """Recomputes the leaf from the body's bytes and compares every column with what the body says."""
    leaf = leaf_hash(event.body)
    try:
        body = read_body(event.body)
        is_canonical = canonical(body) == event.body
        said = _columns(body)
    except (ValueError, RecursionError, AttributeError):
        return Checked(leaf.hex(), leaf == bytes(event.leaf), is_canonical=False, differs=("body",))
    columns = {
        "id": show_id("evt", event.id),
        "at": timestamp(event.at),
        "organization": str(event.organization_id),
        "mode": event.mode,
        "kind": event.kind,
        "result": event.result,
        "actor type": event.actor_type,
        "actor id": event.actor_id,
        "actor": event.actor,
        "agent": event.agent,
        "action": event.action,
        "target": event.target,
    }
    differs = tuple(name for name, value in columns.items() if said.get(name) != value)
    return Checked(leaf.hex(), leaf == bytes(event.leaf), is_canonical, differs)


def _columns(body: dict[str, Any]) -> dict[str, Any]:
    actor = body.get("actor")
    actor = actor if isinstance(actor, dict) else {}
    return {
        **{name: body.get(name) for name in ("id", "at", "organization", "mode", "kind", "result")},
        **{name: body.get(name) for name in ("agent", "action", "target")},
        "actor type": actor.get("type"),
        "actor id": actor.get("id"),
        "actor": actor.get("label"),
    }
