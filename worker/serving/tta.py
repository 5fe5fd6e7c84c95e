"""Test-time augmentation (TTA): six views of an image, the image and its mirror image, each at three positions.

Source: KellerJordan/cifar10-airbench, test-time augmentation level 2. `worker.serving.forward` uses the views if the
confidence on one view is low; see docs/decisions/0008-views.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Lower bound of probabilities before the logarithm.
TINY = 1e-30

#: Share of images whose label may differ from the one by six views: too few to change the accuracy noticeably.
TOLERATED = 0.001

#: Thresholds are multiples of 1 / STEPS.
STEPS = 100

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class View:
    """A view: its `weight` in the mean, its `shift` of both axes in pixels (reflected at the edge), and mirroring."""

    weight: float
    shift: int
    mirrored: bool


#: The unchanged image first. Weights are powers of two and sum to 1.
VIEWS = (
    View(0.25, 0, mirrored=False),
    View(0.25, 0, mirrored=True),
    View(0.125, 1, mirrored=False),
    View(0.125, 1, mirrored=True),
    View(0.125, -1, mirrored=False),
    View(0.125, -1, mirrored=True),
)


def choose_threshold(one: Floats, six: Floats) -> float:
    """Return the confidence, 0 to 1, from which one view is enough; `one` and `six` are probabilities (n, classes).

    It is the lowest multiple of 0.01 at which the images that reach it, but change their label with six views, are at
    most TOLERATED of all images. True labels are not used, so the choice does not overfit to them.
    """
    changed = one.argmax(axis=1) != six.argmax(axis=1)
    confidences = np.sort(one.max(axis=1)[changed])[::-1]
    tolerated = int(TOLERATED * len(one))
    if len(confidences) <= tolerated:
        return 0.0
    return min(1.0, (math.floor(STEPS * float(confidences[tolerated])) + 1) / STEPS)


def log(probabilities: Floats) -> Floats:
    """Return natural logarithms as float64, with probabilities clipped at TINY."""
    logarithms: Floats = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    return logarithms


def softmax(logits: Any) -> Floats:
    """Return probabilities (n, classes) for logits (n, classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    quotients: Floats = powers / powers.sum(axis=1, keepdims=True)
    return quotients
