"""Fit a Head to Embeddings: choose a method by cross-validation, then the temperature and what is unknown.

All choices are made on pictures that were held out while the classifier that is judged was fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Unknown
from worker.heads.folds import FOLDS, assign_folds
from worker.heads.methods import METHODS, Linear, Projection
from worker.heads.trials import Part, Trial, Tried, best_trial, blend, cooled, fit_parts, fitted_temperature, repeated
from worker.serving.head import Head, nearest_distance, normalised
from worker.serving.tta import softmax

#: Share of the training pictures that must be accepted while they are held out.
ACCEPTED = 0.95
#: Best score above which a picture is never unknown for its score: all scores of a few easy pictures are nearly 1.
MAX_SCORE = 0.9
#: Embeddings that a Head keeps for distances at most: 10 MB in the file, 20 MB in memory.
MAX_REFERENCES = 4096

#: Accuracy by which one method must be better than the blend.
TOLERATED = 0.003

Floats = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Progress:
    """Steps done, of all; and what the last one tried."""

    done: int
    steps: int
    tried: Tried | None = None


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A Head, its rule for unknown pictures, and how it was chosen.

    `probabilities` (n, classes) and `novelty` (n,) are of the training pictures while they were held out, each with its
    `fold` (n,), so they show which labels to doubt. `temperature` is the divisor of the logits; of a blend, the mean of
    its `parts`.
    """

    head: Head
    chosen: Tried
    parts: tuple[Part, ...]
    tried: tuple[Tried, ...]
    temperature: float
    unknown: Unknown
    probabilities: Floats
    novelty: Floats
    fold: Integers
    seed: int


def fit_head(
    embeddings: NDArray[Any],
    labels: Integers,
    classes: int,
    *,
    seed: int = 0,
    groups: Integers | None = None,
    progress: Callable[[Progress], object] = lambda _: None,
) -> FittedHead:
    """Return a Head for Embeddings (n, d) with labels (n,), from 0 to `classes` − 1.

    Pictures of the same group (n,) are held out together; by default, each is its own group. At least two labels must
    occur. A label that does not occur gets the probability 0. `progress` is called after each step; an exception from
    it stops the fit.
    """
    fold = assign_folds(labels, np.arange(len(labels)) if groups is None else groups, seed)
    report = _Reporter(progress, steps=len(METHODS) + 2)
    given = _Pictures.of(embeddings, labels, classes, fold)
    return _finish(given, _try_all(given, report), seed, report)


def refit_head(
    parts: Sequence[Part],
    embeddings: NDArray[Any],
    labels: Integers,
    classes: int,
    *,
    groups: Integers,
    before: Integers,
    novelty: Floats | None,
    seed: int = 0,
) -> FittedHead:
    """Return a Head by the parts that `fit_head` chose for nearly the same pictures and labels, in half its time.

    `before` (n,) has the pictures' folds of that time, -1 for new ones. Only the choice is of that time: everything is
    fitted to the present labels, and judged by them. `novelty` (n,) is that of the earlier fit if the pictures are the
    same: labels do not change it. Other arguments are as in `fit_head`.
    """
    given = _Pictures.of(embeddings, labels, classes, assign_folds(labels, groups, seed, before=before))
    trial = repeated(parts, given.projected, labels, classes, given.fold)
    known = novelty if np.array_equal(given.fold, before) else None
    return _finish(given, [trial], seed, _Reporter(), known)


def fit_again(fitted: FittedHead, embeddings: NDArray[Any], labels: Integers, classes: int) -> Linear:
    """Return the classifier that was chosen, fitted to some of the Embeddings (n, d), with labels (n,)."""
    embeddings = embeddings.astype(np.float32)
    project = Projection.of(embeddings)
    return project.undo(fit_parts(fitted.parts, project(embeddings), labels, classes))


@dataclass(frozen=True, eq=False)
class _Pictures:
    """What is fitted to: Embeddings (n, d), their projection, labels (n,) and folds (n,)."""

    embeddings: Floats
    project: Projection
    projected: Floats
    labels: Integers
    classes: int
    fold: Integers

    @classmethod
    def of(cls, embeddings: NDArray[Any], labels: Integers, classes: int, fold: Integers) -> _Pictures:
        """Return the pictures with their projection."""
        embeddings = embeddings.astype(np.float32)
        project = Projection.of(embeddings)
        return cls(embeddings, project, project(embeddings), labels, classes, fold)


def _finish(
    given: _Pictures, trials: Sequence[Trial], seed: int, report: _Reporter, novelty: Floats | None = None
) -> FittedHead:
    """Return the Head of the best trial. `novelty` (n,) is computed unless it is known."""
    best = _choose(trials)
    temperature = fitted_temperature(best.logits, given.labels)
    probabilities = softmax(cooled(best.logits, temperature))
    kept = choose_references(len(given.labels), seed)
    references = normalised(given.embeddings[kept])
    if novelty is None:
        novelty = held_out_distances(given.embeddings, references, given.fold, given.fold[kept])
    report(None)
    linear = given.project.undo(best.fit(given.projected, given.labels, given.classes))
    stored = references.astype(np.float16).astype(np.float32)
    head = Head(linear.weights / np.float32(temperature), cooled(linear.bias, temperature), stored)
    report(None)
    return FittedHead(
        head,
        best.tried,
        best.parts,
        tuple(trial.tried for trial in trials),
        temperature * float(np.mean([part.temperature for part in best.parts])),
        unknown_rule(probabilities, novelty),
        probabilities,
        novelty,
        given.fold,
        seed,
    )


class _Reporter:
    """Counts steps and reports them."""

    def __init__(self, progress: Callable[[Progress], object] = lambda _: None, steps: int = 2) -> None:
        self._progress, self._steps, self._done = progress, steps, 0

    def __call__(self, tried: Tried | None) -> None:
        self._done += 1
        self._progress(Progress(self._done, self._steps, tried))


def _try_all(given: _Pictures, report: _Reporter) -> list[Trial]:
    """Return the best trial of each method, and the blend of the last two."""
    trials = []
    for method in METHODS:
        trials.append(best_trial(method, given.projected, given.labels, given.classes, given.fold))
        report(trials[-1].tried)
    return [*trials, blend(trials[1:], given.labels)]


def _choose(trials: Sequence[Trial]) -> Trial:
    """Return the last trial, the blend, unless another is better by more than TOLERATED.

    It withstands new conditions better than its parts; see docs/decisions/0037-heads.md.
    """
    best = max(trials, key=lambda trial: trial.merit)
    return best if best.tried.accuracy > trials[-1].tried.accuracy + TOLERATED else trials[-1]


def held_out_distances(embeddings: Floats, references: Floats, fold: Integers, reference_fold: Integers) -> Floats:
    """Return the distance of each Embedding (n, d) to the nearest normalised reference (r, d) of another fold (n,)."""
    distances = np.zeros(len(embeddings), np.float32)
    for number in range(FOLDS):
        held, others = fold == number, reference_fold != number
        if held.any() and others.any():
            distances[held] = nearest_distance(embeddings[held], references[others])
    return distances


def unknown_rule(probabilities: Floats, distances: Floats) -> Unknown:
    """Return the rule by which at least ACCEPTED of the held-out pictures are known; half of the rest fail each."""
    distance = float(np.quantile(distances, (1 + ACCEPTED) / 2, method="higher"))
    near, scores = distances <= distance, probabilities.max(axis=1)
    refused = int(near.sum()) - math.ceil(ACCEPTED * len(scores))
    score = min(MAX_SCORE, float(np.sort(scores[near])[max(0, refused)]))
    return Unknown(distance=distance, score=score, accepted=float(np.mean(near & (scores >= score))))


def choose_references(count: int, seed: int) -> NDArray[np.int64]:
    """Return which of `count` pictures a Head keeps: all, or a random sample of MAX_REFERENCES."""
    if count <= MAX_REFERENCES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MAX_REFERENCES, replace=False))
