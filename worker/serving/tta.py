"""Six views of an image, whose answers are averaged: the image and its mirror image, each in place and shifted twice.

Source: KellerJordan/cifar10-airbench, test-time augmentation of level 2. `worker.serving.forward` uses them if one
view is not sure; see docs/decisions/0008-views.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Least probability that a logarithm is taken of.
TINY = 1e-30

#: Share of the images that may get another label than six views would give them: so few that accuracy does not tell.
TOLERATED = 0.001

#: Thresholds are whole multiples of one part in so many.
STEPS = 100

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class View:
    """`weight` in the mean; `shift` of both axes in pixels, what comes in mirrored at the edge; mirrored or not."""

    weight: float
    shift: int
    mirrored: bool


#: The image itself first. Weights are powers of two, and sum to 1.
VIEWS = (
    View(0.25, 0, mirrored=False),
    View(0.25, 0, mirrored=True),
    View(0.125, 1, mirrored=False),
    View(0.125, 1, mirrored=True),
    View(0.125, -1, mirrored=False),
    View(0.125, -1, mirrored=True),
)


def choose_threshold(one: Floats, six: Floats) -> float:
    """Return from which confidence on one view will do, 0 to 1, for probabilities (n, classes) by one view and by six.

    It is the least multiple of 0.01 such that, of the images that reach it, six views would give no more than TOLERATED
    of all images another label. It looks at no right answers, so it is chosen with as little luck as data allows.
    """
    changed = one.argmax(axis=1) != six.argmax(axis=1)
    confidences = np.sort(one.max(axis=1)[changed])[::-1]
    tolerated = int(TOLERATED * len(one))
    if len(confidences) <= tolerated:
        return 0.0
    return min(1.0, (math.floor(STEPS * float(confidences[tolerated])) + 1) / STEPS)


def log(probabilities: Floats) -> Floats:
    """Return natural logarithms as float64, no less than that of TINY."""
    logarithms: Floats = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    return logarithms


def softmax(logits: Any) -> Floats:
    """Return probabilities (n, classes) for logits of that shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    quotients: Floats = powers / powers.sum(axis=1, keepdims=True)
    return quotients
