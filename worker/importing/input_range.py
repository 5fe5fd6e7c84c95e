"""Determine the preprocessing that an imported network needs: which values of the pixels it was built for.

In this order: what the client says; what the file or its archive states; what the network does with values before its
first layers with weights; the statistics of a batch normalization that comes first; and, with pictures whose labels are
known, the accuracy of each choice. Otherwise the file is refused: an unseen guess would be a wrong answer for every
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing, ValueRange, describe
from shared.models.comparison import mcnemar
from worker.importing.front import Floats, Front
from worker.importing.labelled import Pictures

#: Smallest and largest value of each range that a front is compared with. If several fit, the first does.
ENDS: dict[ValueRange, tuple[float, float]] = {"0-255": (0, 255), "0-1": (0, 1), "-1..1": (-1, 1)}
#: Mean and standard deviation of the pixels of photographs, as a share of the range; those of CIFAR-10 and ImageNet are
#: 0.45 and 0.25.
MEAN_SHARE, DEVIATION_SHARE = (0.2, 0.7), (0.1, 0.45)
#: Largest p-value (exact McNemar test) with which one choice is more accurate than another.
P_VALUE = 0.01

#: How the preprocessing was determined.
Basis = Literal["given", "stated", "quantization", "network", "batch statistics", "measured", "Teachable Machine"]
#: Returns the accuracy on pictures: whether each answer is right.
Measure = Callable[[Preprocessing], "np.ndarray[Any, np.dtype[np.bool_]]"]


@dataclass(frozen=True)
class InputRange:
    """A preprocessing, how it was determined, and a sentence that says so."""

    preprocessing: Preprocessing
    basis: Basis
    note: str


def find_range(
    fronts: Sequence[Front | None],
    given: Preprocessing | None,
    stated: InputRange | None,
    pictures: Pictures | None,
    measure: Measure,
) -> InputRange:
    """Return the preprocessing for a network with these fronts. Raises InvalidRequest if it cannot be determined.

    `given` is what the client says, `stated` what the file says.
    """
    found = _from_network(fronts) or _from_statistics(fronts)
    known = InputRange(given, "given", f"Pixel values: {describe(given)}, as given.") if given else stated
    if known and found and found.preprocessing != known.preprocessing:
        return replace(known, note=f"{known.note} The network suggests otherwise. {found.note}")
    best = known or found
    if best:
        return best
    if pictures is None:
        raise _unknown("nothing in the network tells which values of the pixels it was built for")
    return _measured(pictures, measure)


def _from_network(fronts: Sequence[Front | None]) -> InputRange | None:
    """Return the range in which all fronts make sense as the preparation of an input, if they change values at all."""
    known = [front for front in fronts if front is not None]
    if not known or len(known) < len(fronts) or any(front.is_unchanged for front in known):
        return None
    fitting = {next((name for name in ENDS if _is_usual(front, name)), None) for front in known}
    name = fitting.pop()
    if name is None or fitting:
        return None
    low, high = known[0].between(*ENDS[name])
    note = (
        f"Pixel values: {describe(PREPROCESSINGS[name])}. The network itself turns them into {low.min():.4g} to "
        f"{high.max():.4g} before its first layer with weights, {known[0].layer!r}."
    )
    return InputRange(PREPROCESSINGS[name], "network", note)


def _is_usual(front: Front, name: ValueRange) -> bool:
    """Return whether layers usually get what a front makes of a range: 0 to 1, 0 to 255, or values around 0."""
    if name == "-1..1" and np.allclose(front.start, 0):
        return False  # such values are never scaled without a shift
    low, high = front.between(*ENDS[name])
    extent = high - low
    from_zero = (np.abs(low) <= 1e-3 * extent) & (_within(extent, 0.8, 1.25) | _within(extent, 200, 320))
    centered = (np.abs(low + high) / 2 <= 0.4 * extent) & (_within(extent, 0.8, 8) | _within(extent, 200, 320))
    return bool((from_zero | centered).all())


def _within(values: Floats, low: float, high: float) -> Any:
    return (values >= low) & (values <= high)


def _from_statistics(fronts: Sequence[Front | None]) -> InputRange | None:
    """Return the range that has the mean and deviation that a batch normalization remembers of the pixels."""
    first = fronts[0] if len(fronts) == 1 else None
    if first is None or first.statistics is None or not first.is_unchanged:
        return None
    mean, variance = first.statistics
    fitting = [name for name, ends in ENDS.items() if _is_photographic(mean, np.sqrt(variance), *ends)]
    if len(fitting) != 1:
        return None
    note = (
        f"Pixel values: {describe(PREPROCESSINGS[fitting[0]])}, since the first layer, {first.layer!r}, has seen "
        f"values with the mean {mean.mean():.3g} and the standard deviation {np.sqrt(variance).mean():.3g}."
    )
    return InputRange(PREPROCESSINGS[fitting[0]], "batch statistics", note)


def _is_photographic(mean: Floats, deviation: Floats, low: float, high: float) -> bool:
    extent = high - low
    return bool((_within((mean - low) / extent, *MEAN_SHARE) & _within(deviation / extent, *DEVIATION_SHARE)).all())


def _measured(pictures: Pictures, measure: Measure) -> InputRange:
    """Return the choice that is most accurate on pictures, if it is better than the others beyond chance.

    A plain range need not be better than the choices for ImageNet, which are nearly multiples of −1 to 1.
    """
    right = {name: measure(how) for name, how in PREPROCESSINGS.items()}
    best, *others = sorted(right, key=lambda name: -right[name].mean())
    figures = ", ".join(f"{name}: {right[name].mean():.1%}" for name in (best, *others))
    measured = f"On {len(pictures.y):,} pictures of {pictures.name}, this many answers are right: {figures}"
    for other in (name for name in others if best not in ENDS or name in ENDS):
        wins, losses = ((right[a] & ~right[b]).sum() for a, b in ((best, other), (other, best)))
        if wins <= losses or mcnemar(int(losses), int(wins)) > P_VALUE:
            raise _unknown(f"no choice is clearly the best. {measured}")
    how = PREPROCESSINGS[best]
    return InputRange(how, "measured", f"Pixel values: {describe(how)}, the most accurate choice. {measured}.")


def _unknown(reason: str) -> InvalidRequest:
    choices = ", ".join(PREPROCESSINGS)
    return InvalidRequest(
        f"value_range: {reason}. Send `value_range`, one of {choices}, or `scale`, `offset` and `channels`: those with "
        "which the network was trained"
    )
