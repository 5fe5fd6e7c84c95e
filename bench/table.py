"""Results of benchmarks as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

HEAD = ("what", "Darkroom", "reference", "compared", "goal", "met")


@dataclass(frozen=True)
class Figures:
    """One quantity, with a value for each repeat."""

    values: Sequence[float]
    unit: str

    def __str__(self) -> str:
        """Return the median, with the range if there are several values."""
        low, high = number(min(self.values)), number(max(self.values))
        spread = f" ({low}–{high})" if low != high else ""
        return f"{number(statistics.median(self.values))}{spread} {self.unit}"


@dataclass(frozen=True)
class Goal:
    """A goal: at least `limit` if `at_least`, else at most."""

    limit: float
    at_least: bool = True

    def met(self, figures: Figures) -> bool:
        """Return whether the median reaches the goal."""
        median = statistics.median(figures.values)
        return median >= self.limit if self.at_least else median <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}"


@dataclass(frozen=True)
class Row:
    """A row of results. The goal is about `compared`, mostly ours / theirs in each repeat, or else about `ours`."""

    name: str
    ours: Figures
    reference: str = ""
    theirs: Figures | None = None
    compared: Figures | None = None
    goal: Goal | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        reference = f"{self.theirs} {self.reference}" if self.theirs else self.reference
        goal = f"{self.goal} {self.judged.unit}" if self.goal else ""
        met = ("yes" if self.goal.met(self.judged) else "**no**") if self.goal else ""
        return self.name, str(self.ours), reference, str(self.compared or ""), goal, met

    @property
    def judged(self) -> Figures:
        """Return the figures that the goal is about."""
        return self.compared or self.ours

    def as_json(self) -> dict[str, object]:
        """Return the row ready for JSON."""
        return {**asdict(self), "met": self.goal.met(self.judged) if self.goal else None}


def ratio(name: str, ours: Figures, reference: str, theirs: Figures, goal: Goal | None = None) -> Row:
    """Return a row that compares ours / theirs."""
    quotients = [mine / other for mine, other in zip(ours.values, theirs.values, strict=True)]
    return Row(name, ours, reference, theirs, Figures(quotients, "×"), goal)


def number(value: float) -> str:
    """Return a number with about three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def line(cells: Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def heading() -> str:
    """Return the first two lines of the table."""
    return f"{line(HEAD)}\n|{'---|' * len(HEAD)}"
