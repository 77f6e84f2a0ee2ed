"""Charts as plain numbers that a template draws as SVG: no script, no styles, nothing to load."""

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT, STEP, WIDTH = 100, 12, 10  # of a chart, of a bar with its gap, of a bar; the page stretches them


@dataclass(frozen=True, slots=True)
class Series:
    """One of the parts that bars are stacked of: its name is its class."""

    name: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    value: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    x: int
    total: int
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars. `top` is what the upper edge stands for."""

    bars: list[Bar]
    top: int
    width: int
    names: list[str]

    @property
    def first(self) -> str:
        return self.bars[0].label

    @property
    def last(self) -> str:
        return self.bars[-1].label


@dataclass(frozen=True, slots=True)
class Line:
    """A line with gaps where there is no value. Each piece is the points of a polyline."""

    pieces: list[str]
    dots: list[tuple[float, float]]
    top: float
    width: int
    first: str
    last: str


def bars(labels: Sequence[str], series: Sequence[Series]) -> Bars:
    """Stacked bars, one a label; series without any value are left out."""
    series = [each for each in series if any(each.values)]
    totals = [sum(each.values[index] for each in series) for index in range(len(labels))]
    top = _round_up(max(totals, default=0))
    drawn = []
    for index, label in enumerate(labels):
        parts, base = [], float(HEIGHT)
        for each in series:
            if value := each.values[index]:
                height = HEIGHT * value / top
                base -= height
                parts.append(Part(each.name, value, round(base, 2), round(height, 2)))
        drawn.append(Bar(label, index * STEP, totals[index], parts))
    return Bars(drawn, top, len(labels) * STEP, [each.name for each in series])


def line(labels: Sequence[str], values: Sequence[float | None]) -> Line:
    """A line through the values; a value with none on either side is a dot."""
    top = max((value for value in values if value is not None), default=0) or 1
    pieces: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((index * STEP + WIDTH / 2, round(HEIGHT - HEIGHT * value / top, 2)))
    return Line(
        [" ".join(f"{x:g},{y:g}" for x, y in piece) for piece in pieces if len(piece) > 1],
        [piece[0] for piece in pieces if len(piece) == 1],
        top,
        len(labels) * STEP,
        labels[0],
        labels[-1],
    )


def _round_up(value: int) -> int:
    """The next of 1, 2, 3, 4, 5, 6, 8, 10, 20, … so that the edge of a chart is a number one can read."""
    step = 1
    while True:
        for each in (1, 2, 3, 4, 5, 6, 8):
            if value <= each * step:
                return each * step
        step *= 10
