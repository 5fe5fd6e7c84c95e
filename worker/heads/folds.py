"""Folds for cross-validation: each Label is spread over the folds, and a group is never divided."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Folds.
FOLDS = 5

Integers = NDArray[np.integer[Any]]


def assign_folds(
    labels: Integers, groups: Integers, seed: int, folds: int = FOLDS, *, before: Integers | None = None
) -> NDArray[np.int64]:
    """Return the fold of each picture, (n,), from 0 to `folds` − 1.

    Groups are taken from the largest to the smallest, in random order among equals. Each goes to the fold that has the
    fewest pictures of its Label, and the fewest pictures among those. A group with several Labels counts for its first.
    `before` (n,) has folds of an earlier call, or -1: a group that has one keeps it.
    """
    names, first, members, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    known = np.full(len(names), -1)
    np.maximum.at(known, members, -1 if before is None else before)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), -sizes, known < 0))
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.zeros((classes.max() + 1, folds), np.int64)
    fold_of = np.zeros(len(names), np.int64)
    for group in order:
        row = counts[classes[first[group]]]
        fold_of[group] = known[group] if known[group] >= 0 else np.lexsort((counts.sum(axis=0), row))[0]
        row[fold_of[group]] += sizes[group]
    return fold_of[members]
