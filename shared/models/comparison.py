"""Two models on the same test images: is the second better, and may it take over?

Pure functions of bytes, one byte for each test image with the index of a label: of the right one, and of what either
model answers. The models were asked about the same images, so what tells them apart is where only one of them is right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from shared.domain.errors import Conflict, InvalidRequest

#: Rules by which a new model takes over from the champion; see `decide`.
RULES = ("never", "if_better", "always")

#: Share of a class's images by which its recall may fall where a model takes over: 3 points.
MAX_CLASS_LOSS = 0.03

#: Standard normal quantile of a two-sided 95 % interval.
Z = NormalDist().inv_cdf(0.975)

#: Decimals of a share that are kept before it meets a limit, so that 0.95 − 0.92 is not more than 0.03.
DECIMALS = 9

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class ClassComparison:
    """Recall of one class by either model, and second − first; 0 where no image is of that class."""

    label: str
    first: float
    second: float
    difference: float


@dataclass(frozen=True)
class Comparison:
    """The second model against the first; a positive difference favours the second.

    `interval` is the 95 % interval of `difference`, `p_value` that of the exact McNemar test. `only_first` and
    `only_second` count the images that only one of them has right. `verdict` is about the second.
    """

    images: int
    accuracy: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float
    per_class: tuple[ClassComparison, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the interval of the difference leaves zero out, and on which side."""
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "inconclusive"

    @property
    def figures(self) -> str:
        """The difference with its interval, in points, as part of a sentence."""
        low, high = self.interval
        return f"{_points(self.difference)} points of accuracy, 95 % interval {_points(low)} to {_points(high)}"

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        said = {"better": "The second is better", "worse": "The second is worse", "inconclusive": "Neither is better"}
        return f"{said[self.verdict]}: {self.figures}, on {self.images:,} test images."

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON; the names of the versions are left to who knows them."""
        return asdict(self) | {"verdict": self.verdict, "summary": self.summary}


@dataclass(frozen=True)
class Decision:
    """Whether a model takes over, and a sentence that says why."""

    promoted: bool
    reason: str


def compare(truth: bytes, first: bytes, second: bytes, labels: Sequence[str]) -> Comparison:
    """Compare two models' answers to the same test images. Raises Conflict where they are not the same or none."""
    if not len(truth) == len(first) == len(second) > 0:
        counts = f"{len(truth)}, {len(first)} and {len(second)}"
        raise Conflict(f"The two were not measured on the same test images: there are {counts} of them.")
    cells = Counter((a == right, b == right) for right, a, b in zip(truth, first, second, strict=True))
    both, only_first, only_second = cells[True, True], cells[True, False], cells[False, True]
    images = len(truth)
    return Comparison(
        images=images,
        accuracy=((both + only_first) / images, (both + only_second) / images),
        difference=(only_second - only_first) / images,
        interval=paired_interval(both, only_first, only_second, cells[False, False]),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second),
        per_class=_per_class(truth, first, second, labels),
    )


def decide(rule: str, comparison: Comparison) -> Decision:
    """Return whether the second model takes over from the first by `rule`, one of RULES.

    `if_better`: only if the interval of the difference lies above zero, and no class loses more than MAX_CLASS_LOSS
    of its recall. Raises InvalidRequest where there is no such rule.
    """
    if rule not in RULES:
        raise InvalidRequest(f"There is no rule {rule!r}; the rules are {', '.join(RULES)}.")
    if rule != "if_better":
        return Decision(rule == "always", f"promote: {rule}")
    if comparison.verdict != "better":
        return Decision(False, f"{comparison.verdict}: keep the champion ({comparison.figures})")
    worst = min(comparison.per_class, key=lambda row: row.difference)
    if round(-worst.difference, DECIMALS) > MAX_CLASS_LOSS:
        loss = f"{worst.label} loses {_points(-worst.difference, sign='')} points of recall"
        return Decision(False, f"{loss}, more than {MAX_CLASS_LOSS * 100:g}: keep the champion ({comparison.figures})")
    return Decision(True, f"better: {comparison.figures}")


def paired_interval(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """Return the 95 % interval of the second share less the first, of pairs that agree or differ as counted.

    Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", Statistics in Medicine 17, 1998, pages 2635–2650: Wilson's interval of either share, put together by
    squares and with their correlation. It needs no iteration, and suits few pairs and shares near 1 as well.
    """
    images = both + only_first + only_second + neither
    first, second = (both + only_first) / images, (both + only_second) / images
    (low1, high1), (low2, high2) = wilson(first, images), wilson(second, images)
    correlation = _correlation(both, only_first, only_second, neither)
    difference = (only_second - only_first) / images
    below = _hypotenuse(second - low2, high1 - first, correlation)
    above = _hypotenuse(high2 - second, first - low1, correlation)
    return max(-1.0, difference - below), min(1.0, difference + above)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` (E. B. Wilson, JASA 22, 1927); it always holds the share."""
    centre = share + Z**2 / (2 * count)
    reach = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    scale = 1 + Z**2 / count
    return min(share, (centre - reach) / scale), max(share, (centre + reach) / scale)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value, two-sided, of McNemar's exact test: may each of the differing pairs be a coin's toss?

    Q. McNemar, Psychometrika 12, 1947; exact: twice the smaller tail of the binomial distribution, at most 1.
    """
    tosses = only_first + only_second
    tail = ways = 1
    for heads in range(min(only_first, only_second)):
        ways = ways * (tosses - heads) // (heads + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << tosses))


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Return phi of the two shares, corrected for continuity as Newcombe does; 0 where a share is 0 or 1."""
    images = both + only_first + only_second + neither
    scale = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    corrected = max(product - images / 2, 0) if product > 0 else product
    return corrected / math.sqrt(scale) if scale else 0.0


def _hypotenuse(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _per_class(truth: bytes, first: bytes, second: bytes, labels: Sequence[str]) -> tuple[ClassComparison, ...]:
    support = Counter(truth)
    columns = []
    for answers in (first, second):
        hits = Counter(right for right, answer in zip(truth, answers, strict=True) if right == answer)
        columns.append([hits[index] / max(1, support[index]) for index in range(len(labels))])
    return tuple(ClassComparison(label, a, b, b - a) for label, a, b in zip(labels, *columns, strict=True))


def _points(share: float, sign: str = "+") -> str:
    """Return a share in points of percent, with a minus sign and no hyphen; a value that rounds to zero has none."""
    return f"{round(share * 100, 2) + 0.0:{sign}.2f}".replace("-", "−")
