"""What more pictures would bring: the accuracy after learning from fewer, and from that the gain of each Label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.heads.folds import FOLDS, assign_folds
from worker.heads.methods import Projection
from worker.heads.trials import Part, fit_parts

#: Shares of the pictures after which the accuracy is measured; all of them were measured by the fit.
SHARES = (0.25, 0.5, 0.75)
#: Pictures by which the gain is estimated.
MORE = 10
#: Pictures of mean recall that are added to each Label's own, so that three right answers of three are not a certainty.
PRIOR = 4

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


def accuracy_by_share(
    embeddings: NDArray[Any],
    labels: Integers,
    classes: int,
    parts: Sequence[Part],
    *,
    groups: Integers,
    seed: int,
) -> list[float]:
    """Return the cross-validated accuracy of a chosen classifier for each of SHARES; smaller parts are in bigger ones.

    Embeddings (n, d), labels and groups (n,), the seed and the parts are those of `fit_head`.
    """
    embeddings = embeddings.astype(np.float32)
    projected = Projection.of(embeddings)(embeddings)
    fold = assign_folds(labels, groups, seed)
    accuracies = []
    for share in SHARES:
        right = np.zeros(len(labels), np.bool_)
        for number in range(FOLDS):
            held, kept = fold == number, np.flatnonzero(fold != number)
            if held.any() and len(kept):
                part = kept[_first(labels[kept], share, seed)]
                linear = fit_parts(parts, projected[part], labels[part], classes)
                right[held] = linear.logits(projected[held]).argmax(axis=1) == labels[held]
        accuracies.append(float(right.mean()))
    return accuracies


def gains(counts: Integers, right: Integers, shares: Sequence[float], accuracies: Sequence[float]) -> Floats:
    """Return how much each Label's recall would grow by MORE pictures (classes,), from its pictures and right answers.

    The error falls as a power of the number of pictures, the same for all Labels, which is fitted to the curve.
    """
    total = max(int(counts.sum()), 1)
    error = (counts - right + PRIOR * (1 - right.sum() / total)) / (counts + PRIOR)
    errors = np.maximum(1 - np.asarray(accuracies), 0.5 / total)
    slope = -np.polyfit(np.log(shares), np.log(errors), 1)[0]
    grown = (np.maximum(counts, 1) / (np.maximum(counts, 1) + MORE)) ** float(np.clip(slope, 0, 1))
    return np.asarray(error * (1 - grown))


def _first(labels: Integers, share: float, seed: int) -> NDArray[np.int64]:
    """Return the places of a share of each Label's pictures, at least one, in an order that `seed` decides."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_label = order[np.argsort(labels[order], kind="stable")]
    ordered = labels[by_label]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    first: NDArray[np.int64] = by_label[rank < np.ceil(share * np.bincount(labels)[ordered])]
    return first
