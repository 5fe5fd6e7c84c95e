"""Fit a Head to Embeddings: choose a method by cross-validation, then the temperature and what is unknown.

All choices are made on pictures that were held out while the classifier that is judged was fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Unknown
from worker.evaluation import evaluate
from worker.heads.folds import FOLDS, assign_folds
from worker.heads.methods import ABSENT, METHODS, Linear, Method, Projection
from worker.serving.head import Head, nearest_distance, normalised
from worker.serving.tta import TINY, softmax

#: Share of the training pictures that must be accepted while they are held out.
ACCEPTED = 0.95
#: Embeddings that a Head keeps for distances at most: 10 MB in the file, 20 MB in memory.
MAX_REFERENCES = 4096
#: Accuracy that a simpler method may lack, if its standard error is not smaller.
TOLERATED = 0.005

Floats = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Tried:
    """A method that was tried: its accuracy and mean cross-entropy (in nats) on held-out pictures."""

    method: str
    strength: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Progress:
    """Steps done, of all; and what the last one tried."""

    done: int
    steps: int
    tried: Tried | None = None


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A Head, its rule for unknown pictures, and how it was chosen.

    `probabilities` (n, classes) and `novelty` (n,) are of the training pictures while they were held out, so they show
    which labels to doubt.
    """

    head: Head
    chosen: Tried
    tried: tuple[Tried, ...]
    temperature: float
    unknown: Unknown
    probabilities: Floats
    novelty: Floats


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
    embeddings = embeddings.astype(np.float32)
    fold = assign_folds(labels, np.arange(len(labels)) if groups is None else groups, seed)
    report = _Reporter(progress, steps=len(METHODS) + 2)
    project = Projection.of(embeddings)
    projected = project(embeddings)
    trials = _try_all(projected, labels, classes, fold, report)
    tried, logits = _choose(trials, len(labels))
    temperature = fitted_temperature(logits, labels)
    probabilities = softmax(logits / np.float32(temperature))
    rows, kept = normalised(embeddings), _references(len(embeddings), seed)
    distances = held_out_distances(rows, fold, kept)
    report(None)
    linear = project.undo(_fit_one(tried, projected, labels, classes))
    head = Head(*_cooled(linear, temperature), rows[kept].astype(np.float16).astype(np.float32))
    report(None)
    return FittedHead(
        head,
        tried,
        tuple(trial for trial, _ in trials),
        temperature,
        unknown_rule(probabilities, distances),
        probabilities,
        distances,
    )


class _Reporter:
    """Counts steps and reports them."""

    def __init__(self, progress: Callable[[Progress], object], steps: int) -> None:
        self._progress, self._steps, self._done = progress, steps, 0

    def __call__(self, tried: Tried | None) -> None:
        self._done += 1
        self._progress(Progress(self._done, self._steps, tried))


def _try_all(
    embeddings: Floats, labels: Integers, classes: int, fold: Integers, report: _Reporter
) -> list[tuple[Tried, Floats]]:
    """Return each method and strength with its held-out logits (n, classes), the simplest first."""
    trials = []
    for method in METHODS:
        held_out = held_out_logits(method, embeddings, labels, classes, fold)
        found = [
            (_judged(method.name, strength, logits, labels), logits)
            for strength, logits in zip(method.strengths, held_out, strict=True)
        ]
        trials += found
        report(max((tried for tried, _ in found), key=lambda tried: tried.accuracy))
    return trials


def held_out_logits(method: Method, embeddings: Floats, labels: Integers, classes: int, fold: Integers) -> Floats:
    """Return logits (strengths, n, classes) of each picture by a classifier that was fitted without its fold."""
    logits = np.zeros((len(method.strengths), len(labels), classes), np.float32)
    for number in range(FOLDS):
        held, kept = fold == number, fold != number
        if not held.any() or not kept.any():
            continue
        fitted = method.fit(embeddings[kept], labels[kept], classes, method.strengths)
        for place, linear in enumerate(fitted):
            logits[place, held] = linear.logits(embeddings[held])
    return logits


def held_out_distances(rows: Floats, fold: Integers, kept: Integers) -> Floats:
    """Return the distance of each normalised Embedding to the nearest reference, `rows[kept]`, of another fold (n,)."""
    distances = np.zeros(len(rows), np.float32)
    for number in range(FOLDS):
        held, others = fold == number, kept[fold[kept] != number]
        if held.any() and len(others):
            distances[held] = nearest_distance(rows[held], rows[others])
    return distances


def fitted_temperature(logits: Floats, labels: Integers) -> float:
    """Return the temperature for held-out logits; pictures whose class had no other picture do not count."""
    scale = max(float(np.abs(logits[logits > ABSENT / 2]).mean()), TINY)
    could_know = logits[np.arange(len(labels)), labels] > ABSENT / 2
    if not could_know.any():
        return scale
    return scale * evaluate.temperature(logits[could_know] / np.float32(scale), labels[could_know])


def _judged(method: str, strength: float, logits: Floats, labels: Integers) -> Tried:
    """Return how good held-out logits are, with the best temperature."""
    probabilities = softmax(logits / np.float32(fitted_temperature(logits, labels)))
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    return Tried(method, strength, accuracy, evaluate.cross_entropy(probabilities, labels))


def _choose(trials: list[tuple[Tried, Floats]], count: int) -> tuple[Tried, Floats]:
    """Return the simplest trial whose accuracy is nearly the best: within a standard error, and within TOLERATED."""
    best = max(tried.accuracy for tried, _ in trials)
    error = math.sqrt(best * (1 - best) / count)
    return next(trial for trial in trials if trial[0].accuracy >= best - min(error, TOLERATED))


def _fit_one(tried: Tried, embeddings: Floats, labels: Integers, classes: int) -> Linear:
    """Return the classifier that was chosen; strengths before it are the way to it."""
    method = next(method for method in METHODS if method.name == tried.method)
    strengths = method.strengths[: method.strengths.index(tried.strength) + 1]
    return method.fit(embeddings, labels, classes, strengths)[-1]


def unknown_rule(probabilities: Floats, distances: Floats) -> Unknown:
    """Return the rule by which ACCEPTED of the held-out pictures are known: half of the others fail each limit."""
    distance = float(np.quantile(distances, (1 + ACCEPTED) / 2, method="higher"))
    near, scores = distances <= distance, probabilities.max(axis=1)
    refused = int(near.sum()) - math.ceil(ACCEPTED * len(scores))
    score = float(np.sort(scores[near])[max(0, refused)])
    return Unknown(distance=distance, score=score, accepted=float(np.mean(near & (scores >= score))))


def _cooled(linear: Linear, temperature: float) -> tuple[Floats, Floats]:
    """Return weights and bias divided by the temperature. An absent class stays absent."""
    bias = np.where(linear.bias > ABSENT / 2, linear.bias / np.float32(temperature), ABSENT)
    return linear.weights / np.float32(temperature), bias.astype(np.float32)


def _references(count: int, seed: int) -> NDArray[np.int64]:
    """Return which of `count` pictures a Head keeps: all, or a random sample of MAX_REFERENCES."""
    if count <= MAX_REFERENCES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MAX_REFERENCES, replace=False))
