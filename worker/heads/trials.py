"""Try methods by cross-validation: each picture is judged by a classifier that was fitted without its fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.evaluation import evaluate
from worker.heads.folds import FOLDS
from worker.heads.methods import ABSENT, Linear, Method
from worker.serving.tta import TINY, softmax

Floats = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Tried:
    """A method that was tried: its accuracy and mean cross-entropy (in nats) on held-out pictures."""

    method: str
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Part:
    """A method at one strength; its logits are divided by `temperature`."""

    method: Method
    strength: float
    temperature: float

    @property
    def name(self) -> str:
        """Return the method and its strength."""
        return f"{self.method.name} {self.strength:g}"


@dataclass(frozen=True, eq=False)
class Trial:
    """A classifier, the mean of its parts, and its held-out logits (n, classes)."""

    parts: tuple[Part, ...]
    logits: Floats
    tried: Tried

    @property
    def merit(self) -> tuple[float, float]:
        """Return what decides between trials: the accuracy, then the loss."""
        return self.tried.accuracy, -self.tried.loss

    def fit(self, embeddings: Floats, labels: Integers, classes: int) -> Linear:
        """Return the classifier, fitted to all pictures."""
        return fit_parts(self.parts, embeddings, labels, classes)


def fit_parts(parts: Sequence[Part], embeddings: Floats, labels: Integers, classes: int) -> Linear:
    """Return the mean of the parts, fitted to all pictures."""
    fitted = [_fit(part, embeddings, labels, classes) for part in parts]
    return Linear(np.mean([each.weights for each in fitted], axis=0), np.mean([each.bias for each in fitted], axis=0))


def best_trial(method: Method, embeddings: Floats, labels: Integers, classes: int, fold: Integers) -> Trial:
    """Return the best strength of a method."""
    logits = held_out_logits(method, embeddings, labels, classes, fold)
    trials = []
    for strength, each in zip(method.strengths, logits, strict=True):
        temperature = fitted_temperature(each, labels)
        part = Part(method, strength, temperature)
        trials.append(_trial(part.name, (part,), cooled(each, temperature), labels))
    return max(trials, key=lambda trial: trial.merit)


def blend(trials: Sequence[Trial], labels: Integers) -> Trial:
    """Return the mean of trials. Their mistakes differ, and a mean of linear classifiers is linear too."""
    name = " + ".join(trial.tried.method for trial in trials)
    logits: Floats = np.mean([trial.logits for trial in trials], axis=0)
    return _trial(name, tuple(part for trial in trials for part in trial.parts), logits, labels)


def repeated(parts: Sequence[Part], embeddings: Floats, labels: Integers, classes: int, fold: Integers) -> Trial:
    """Return the trial of parts that were chosen before, at the temperatures of that time."""
    logits = np.zeros((len(labels), classes), np.float32)
    for number in range(FOLDS):
        held, kept = fold == number, fold != number
        if held.any() and kept.any():
            logits[held] = fit_parts(parts, embeddings[kept], labels[kept], classes).logits(embeddings[held])
    return _trial(" + ".join(part.name for part in parts), tuple(parts), logits, labels)


def held_out_logits(method: Method, embeddings: Floats, labels: Integers, classes: int, fold: Integers) -> Floats:
    """Return logits (strengths, n, classes) of each picture by a classifier that was fitted without its fold."""
    logits = np.zeros((len(method.strengths), len(labels), classes), np.float32)
    for number in range(FOLDS):
        held, kept = fold == number, fold != number
        if held.any() and kept.any():
            for place, linear in enumerate(method.fit(embeddings[kept], labels[kept], classes, method.strengths)):
                logits[place, held] = linear.logits(embeddings[held])
    return logits


def fitted_temperature(logits: Floats, labels: Integers) -> float:
    """Return the temperature for held-out logits; pictures whose class had no other picture do not count."""
    scale = max(float(np.abs(logits[logits > ABSENT / 2]).mean()), TINY)
    could_know = logits[np.arange(len(labels)), labels] > ABSENT / 2
    if not could_know.any():
        return scale
    return scale * evaluate.temperature(logits[could_know] / np.float32(scale), labels[could_know])


def cooled(logits: Floats, temperature: float) -> Floats:
    """Return logits, or biases, divided by the temperature. An absent class stays absent."""
    return np.where(logits > ABSENT / 2, logits / np.float32(temperature), np.float32(ABSENT))


def _trial(name: str, parts: tuple[Part, ...], logits: Floats, labels: Integers) -> Trial:
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    return Trial(parts, logits, Tried(name, accuracy, evaluate.cross_entropy(softmax(logits), labels)))


def _fit(part: Part, embeddings: Floats, labels: Integers, classes: int) -> Linear:
    """Return one part of a classifier; weaker regularization starts from the stronger ones before it."""
    strengths = part.method.strengths[: part.method.strengths.index(part.strength) + 1]
    linear = part.method.fit(embeddings, labels, classes, strengths)[-1]
    return Linear(linear.weights / np.float32(part.temperature), cooled(linear.bias, part.temperature))
