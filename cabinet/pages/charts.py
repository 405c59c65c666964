"""Bar charts as SVG: what is drawn where. `parts/charts.html` draws it, the style sheet colours it.

A chart is stretched to the width that there is, so nothing in it is written: its labels are beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ari_app.store.statistics import Figures

HEIGHT = 100
STEP = 10
"""Width of a bar with the gaps beside it, which are 1 wide each."""
_LABELS = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: missed calls stand on answered ones. Lengths are in the chart's own units."""

    label: str
    figures: Figures
    x: int
    answered: float
    missed: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars side by side. `top` is what its upper edge means, `labels` are spread evenly below it."""

    bars: tuple[Bar, ...]
    top: int
    labels: tuple[str, ...]

    @property
    def width(self) -> int:
        """How wide it is, in its own units."""
        return STEP * len(self.bars)


def chart(columns: Iterable[tuple[str, Figures]], labels: Sequence[str]) -> Chart:
    """Draw bars that stand side by side; `labels` are named from the first to the last."""
    columns = list(columns)
    top = round_up(max((figures.calls for _, figures in columns), default=0))
    bars = (
        Bar(
            label,
            figures,
            x=index * STEP + 1,
            answered=_length(figures.answered, top),
            missed=_length(figures.missed, top),
        )
        for index, (label, figures) in enumerate(columns)
    )
    return Chart(tuple(bars), top, tuple(labels))


def some(labels: Sequence[str], most: int = _LABELS) -> list[str]:
    """Choose a few labels at about even distances, the first and the last among them."""
    last, gaps = len(labels) - 1, min(most, len(labels)) - 1
    return [labels[round(index * last / gaps)] for index in range(gaps + 1)] if gaps > 0 else list(labels)


def round_up(most: int) -> int:
    """Give an even number that is easily read and not below the most that is shown."""
    step = 1
    while True:
        for factor in (2, 4, 6, 10, 16):
            if factor * step >= most:
                return factor * step
        step *= 10


def _length(count: int, top: int) -> float:
    return round(HEIGHT * count / top, 2)
