"""Events in words. One table: a kind, its icon, and a sentence whose gaps are filled from the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple, Protocol


class Sentence(NamedTuple):
    icon: str
    words: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a sentence. Only what is `ours` is our own wording; draw every other piece as somebody's text."""

    text: str
    gap: str = ""

    @property
    def ours(self) -> bool:
        return not self.gap


class Told(Protocol):
    """What a sentence needs of an event."""

    kind: str
    actor: str
    agent: str
    action: str
    target: str
    result: str


# Gaps: columns of the event, or names in its data. Words in [brackets] are left out where their gap is empty.
SENTENCES: dict[str, Sentence] = {
    "agent:check:allow": Sentence("check", "{agent} was allowed {action}"),
    "agent:check:deny": Sentence("x", "{agent} was refused {action}[: {reason}]"),
    "agent:check:ask": Sentence("hand", "{agent} asked for {action}"),
    "system:approval:expired": Sentence("timer-off", "Nobody decided in time what {agent} asked: {action}"),
    "system:approval:lapsed": Sentence("timer-off", "{agent} did not claim its approval of {action} in time"),
}
ICONS = {"agent": "bot", "person": "user", "system": "shield"}  # of a kind that has no sentence


def tell(event: Told, data: Mapping[str, Any]) -> list[Part]:
    """The event as a sentence, in pieces. An unknown kind is told by its own words, never hidden."""
    known = SENTENCES.get(event.kind)
    if known is None:
        _, _, rest = event.kind.partition(":")
        words = (rest or event.kind).replace(":", " ").replace("_", " ")
        return [Part(event.actor or "Warden", "actor"), Part(f": {words}"), *_on(event)]
    return list(_fill(known.words, event, data))


def icon(kind: str) -> str:
    """The drawing of a kind."""
    known = SENTENCES.get(kind)
    return known.icon if known else ICONS.get(kind.partition(":")[0], "circle-dot")


def _on(event: Told) -> list[Part]:
    what = event.action or event.target or event.agent
    return [Part(" "), Part(what, "target")] if what else []


def _fill(words: str, event: Told, data: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    for piece in words.replace("]", "[").split("["):
        optional = f"[{piece}]" in words
        made = [
            part
            for text, gap, _, _ in Formatter().parse(piece)
            for part in ([Part(text)] if text else []) + ([Part(_value(gap, event, data), gap)] if gap else [])
        ]
        if not optional or all(part.ours or part.text for part in made):
            parts += [part for part in made if part.text]
    return parts


def _value(gap: str, event: Told, data: Mapping[str, Any]) -> str:
    value = getattr(event, gap) if gap in Told.__annotations__ else data.get(gap, "")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
