"""What can be alerted on: each room registers what it can measure, and says it in words."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured: one organization and mode, over `window` up to `now`, the database's clock."""

    organization_id: uuid.UUID
    mode: str
    now: datetime
    window: timedelta

    @property
    def since(self) -> datetime:
        return self.now - self.window


@dataclass(frozen=True, slots=True)
class Measure:
    """`read` gives a number, or None where there is too little to say. `unit` is empty (a count), share or minutes.

    Reading is one bounded query on an index, run every few seconds for each rule.
    """

    name: str
    label: str
    read: Callable[[Scope], float | None]
    unit: str = ""
    windowed: bool = True


_measures: dict[str, Measure] = {}


def register(measure: Measure) -> None:
    """Adds a measure; one of the same name is replaced."""
    _measures[measure.name] = measure


def find(name: str) -> Measure:
    """Raises KeyError for a measure that no room of this installation has."""
    return _measures[name]


def known() -> list[Measure]:
    """Every measure, by its label."""
    return sorted(_measures.values(), key=lambda measure: measure.label)


def written(value: float, unit: str) -> str:
    """`12`, `31 %`, `45 min`: at most three digits that matter, and whole numbers whole."""
    if unit == "share":
        return f"{value * 100:.3g} %"
    text = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{text} min" if unit == "minutes" else text
