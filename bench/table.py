"""What a benchmark found: rows with repeats, printed as a table and written as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

HEAD = ("what", "Darkroom", "reference", "compared", "goal", "met")


@dataclass(frozen=True)
class Figures:
    """One quantity, measured once in each repeat."""

    values: Sequence[float]
    unit: str

    def __str__(self) -> str:
        """Median, and range where there are several."""
        low, high = number(min(self.values)), number(max(self.values))
        spread = f" ({low}–{high})" if low != high else ""
        return f"{number(statistics.median(self.values))}{spread} {self.unit}"


@dataclass(frozen=True)
class Goal:
    """`at_least` or at most `limit`."""

    limit: float
    at_least: bool = True

    def met(self, figures: Figures) -> bool:
        """Whether the median reaches it."""
        median = statistics.median(figures.values)
        return median >= self.limit if self.at_least else median <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}"


@dataclass(frozen=True)
class Row:
    """`compared` is what the goal is about: mostly ours by theirs, repeat by repeat."""

    name: str
    ours: Figures
    reference: str = ""
    theirs: Figures | None = None
    compared: Figures | None = None
    goal: Goal | None = None

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        reference = f"{self.theirs} {self.reference}" if self.theirs else self.reference
        goal = f"{self.goal} {self.judged.unit}" if self.goal else ""
        met = ("yes" if self.goal.met(self.judged) else "**no**") if self.goal else ""
        return self.name, str(self.ours), reference, str(self.compared or ""), goal, met

    @property
    def judged(self) -> Figures:
        """What is compared with the goal."""
        return self.compared or self.ours

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {**asdict(self), "met": self.goal.met(self.judged) if self.goal else None}


def ratio(name: str, ours: Figures, reference: str, theirs: Figures, goal: Goal | None = None) -> Row:
    """A row that compares ours divided by theirs."""
    quotients = [mine / other for mine, other in zip(ours.values, theirs.values, strict=True)]
    return Row(name, ours, reference, theirs, Figures(quotients, "×"), goal)


def number(value: float) -> str:
    """Three digits that tell something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def line(cells: Sequence[str]) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def heading() -> str:
    """The first two lines of the table."""
    return f"{line(HEAD)}\n|{'---|' * len(HEAD)}"
