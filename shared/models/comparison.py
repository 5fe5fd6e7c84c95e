"""Comparison of two models on the same test images, and the decision about a promotion.

Pure functions of sequences with one label index per test image: the true labels, and the predictions of each model. The
samples are paired, so only the images that exactly one model gets right tell the models apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

from shared.domain.errors import Conflict, InvalidRequest
from shared.models.answers import Answered

#: Rules for promoting a new model; see `decide`.
RULES = ("never", "if_better", "always")

#: Maximum loss of recall of any class in a promotion: 3 points.
MAX_CLASS_LOSS = 0.03

#: Standard normal quantile of a two-sided 95 % interval.
Z = NormalDist().inv_cdf(0.975)

#: Decimals to which a loss is rounded before it is compared with a limit, so that 0.95 − 0.92 is not above 0.03.
DECIMALS = 9

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class ClassComparison:
    """Recall of a class by each model, and second − first; 0 for a class without images."""

    label: str
    first: float
    second: float
    difference: float


@dataclass(frozen=True)
class Comparison:
    """The second model against the first; a positive difference favours the second.

    `interval` is the 95 % confidence interval of `difference`, `p_value` is that of the exact McNemar test.
    `only_first` and `only_second` count the images that only that model gets right. `left_out` counts the test images
    of each that the other was not measured on: they tell nothing. `verdict` is about the second model.
    """

    images: int
    accuracy: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float
    per_class: tuple[ClassComparison, ...]
    left_out: tuple[int, int] = (0, 0)

    @property
    def verdict(self) -> Verdict:
        """Return whether the interval excludes zero, and on which side."""
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "inconclusive"

    @property
    def figures(self) -> str:
        """Return the difference with its interval, in points, as part of a sentence."""
        low, high = self.interval
        return f"{_points(self.difference)} points of accuracy, 95 % interval {_points(low)} to {_points(high)}"

    @property
    def summary(self) -> str:
        """Return one sentence for people."""
        verdicts = {
            "better": "The second is better",
            "worse": "The second is worse",
            "inconclusive": "Neither is better",
        }
        return f"{verdicts[self.verdict]}: {self.figures}, on {self.images:,} test images{self._others}."

    @property
    def _others(self) -> str:
        if not any(self.left_out):
            return ""
        first, second = self.left_out
        return f" that both were measured on ({first:,} more of the first and {second:,} of the second are left out)"

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the versions' names, ready for JSON."""
        return asdict(self) | {"verdict": self.verdict, "summary": self.summary}


@dataclass(frozen=True)
class Decision:
    """Whether a model is promoted, and a sentence that says why."""

    promoted: bool
    reason: str


def compare(truth: Sequence[int], first: Sequence[int], second: Sequence[int], labels: Sequence[str]) -> Comparison:
    """Compare predictions on the same test images. Raises Conflict if there are none or their numbers differ."""
    if not len(truth) == len(first) == len(second) > 0:
        counts = f"{len(truth)}, {len(first)} and {len(second)}"
        raise Conflict(f"The models were not measured on the same test images: there are {counts} of them.")
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


def compare_answers(first: Sequence[Answered], second: Sequence[Answered], labels: Sequence[str]) -> Comparison:
    """Compare answers to the test pictures of a Dataset, on those that both models were tested on.

    A picture's true Label is the one that it had when the second model was made. Raise Conflict if there are none.
    """
    before = {found.n: found.answer for found in first}
    both = [found for found in second if found.n in before]
    if not both:
        raise Conflict("The models were tested on different pictures, so they cannot be compared.")
    truth, answers = [found.label for found in both], [found.answer for found in both]
    found = compare(truth, [before[each.n] for each in both], answers, labels)
    return replace(found, left_out=(len(first) - len(both), len(second) - len(both)))


def pack_indices(indices: Iterable[int], labels: int) -> bytes:
    """Return indices of labels as bytes: one each, or two (little-endian) if there are more than 256 labels."""
    size = 1 if labels <= 256 else 2
    return b"".join(index.to_bytes(size, "little") for index in indices)


def unpack_indices(content: bytes, labels: int) -> Sequence[int]:
    """Return the indices in the result of `pack_indices`."""
    if labels <= 256:
        return content
    return [low + 256 * high for low, high in zip(content[::2], content[1::2], strict=True)]


def decide(rule: str, comparison: Comparison) -> Decision:
    """Decide by `rule`, one of RULES, whether the second model replaces the first as champion.

    `if_better`: only if the interval of the difference is above zero, and no class loses more than MAX_CLASS_LOSS of
    recall. Raises InvalidRequest for an unknown rule.
    """
    if rule not in RULES:
        raise InvalidRequest(f"Unknown rule {rule!r}; the rules are {', '.join(RULES)}.")
    if rule != "if_better":
        return Decision(rule == "always", f"promote: {rule}")
    if comparison.verdict != "better":
        return Decision(False, f"{comparison.verdict}: the champion stays ({comparison.figures})")
    worst = min(comparison.per_class, key=lambda row: row.difference)
    if round(-worst.difference, DECIMALS) > MAX_CLASS_LOSS:
        loss = f"{worst.label} loses {_points(-worst.difference, sign='')} points of recall"
        return Decision(False, f"{loss}, more than {MAX_CLASS_LOSS * 100:g}: the champion stays ({comparison.figures})")
    return Decision(True, f"better: {comparison.figures}")


def paired_interval(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of second − first share of right predictions, from the four paired counts.

    Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", Statistics in Medicine 17, 1998, pages 2635–2650: Wilson's intervals of the shares, combined by
    squares with their correlation. It is closed-form, and valid for few pairs and for shares near 1.
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
    """Return the 95 % interval of a share of `count` (E. B. Wilson, JASA 22, 1927); it always contains the share."""
    centre = share + Z**2 / (2 * count)
    reach = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    scale = 1 + Z**2 / count
    return max(0.0, min(share, (centre - reach) / scale)), min(1.0, max(share, (centre + reach) / scale))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Q. McNemar, Psychometrika 12, 1947; exact: twice the smaller tail of the binomial distribution, at most 1.
    """
    tosses = only_first + only_second
    tail = ways = 1
    for heads in range(min(only_first, only_second)):
        ways = ways * (tosses - heads) // (heads + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << tosses))


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Return phi of the two shares with Newcombe's continuity correction; 0 if a share is 0 or 1."""
    images = both + only_first + only_second + neither
    scale = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    corrected = max(product - images / 2, 0) if product > 0 else product
    return corrected / math.sqrt(scale) if scale else 0.0


def _hypotenuse(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _per_class(
    truth: Sequence[int], first: Sequence[int], second: Sequence[int], labels: Sequence[str]
) -> tuple[ClassComparison, ...]:
    support = Counter(truth)
    columns = []
    for answers in (first, second):
        hits = Counter(right for right, answer in zip(truth, answers, strict=True) if right == answer)
        columns.append([hits[index] / max(1, support[index]) for index in range(len(labels))])
    return tuple(ClassComparison(label, a, b, b - a) for label, a, b in zip(labels, *columns, strict=True))


def _points(share: float, sign: str = "+") -> str:
    """Return a share in percentage points, with a minus sign (−), never −0.00."""
    return f"{round(share * 100, 2) + 0.0:{sign}.2f}".replace("-", "−")
