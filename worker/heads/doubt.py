"""Confident learning: which labels to doubt, by probabilities of a classifier that did not learn from the pictures.

C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Doubts:
    """For each picture (n,): the label that fits best besides its own, its probability, how much to doubt the own one.

    `doubt` is 0 to 1: (1 + probability of the best other label − of its own) / 2. `is_doubted` is true for those that
    another label claims: its probability is above the mean of those pictures that have this label.
    """

    best: NDArray[np.int64]
    score: Floats
    doubt: Floats
    is_doubted: NDArray[np.bool_]


def doubts(probabilities: Floats, labels: Integers) -> Doubts:
    """Return how much to doubt each label (n,), from held-out probabilities (n, classes)."""
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -1
    best = others.argmax(axis=1)
    score = others[rows, best].clip(0, 1)
    claims = np.where(probabilities >= typical(probabilities, labels), probabilities, 0)
    claimed = claims.argmax(axis=1)
    is_claimed = claims[rows, claimed] > 0
    return Doubts(best, score, ((1 + score - own) / 2).clip(0, 1), is_claimed & (claimed != labels))


def typical(probabilities: Floats, labels: Integers) -> Floats:
    """Return the mean probability of each label (classes,) for pictures that have it, 1 if none has."""
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, probabilities[np.arange(len(labels)), labels], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
