"""Measurements of a model as it is served, for its card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Calibration, Latency, Metrics, Unknown, Views
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.serving import forward, tta
from worker.serving.forward import Network

#: Share of the pictures of known classes that get an answer.
ACCEPTED = 0.95

#: Views of an image that a served model averages; adaptive: six for images that one view is unsure of.
ViewsServed = Literal["one", "six", "adaptive"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurements:
    """Measured fields of a card, and the probabilities (n, classes) for the test images; n = 0 without a dataset.

    `corrected_accuracy` is the accuracy on the held-out corrections.
    """

    answers: NDArray[np.floating[Any]]
    latency: Latency
    views: Views | None = None
    metrics: Metrics | None = None
    calibration: Calibration | None = None
    unknown: Unknown | None = None
    corrected_accuracy: float | None = None


def measure_speed(network: Network, shape: tuple[int, int, int]) -> Measurements:
    """Return the measurements without a dataset: the latency of one view on noise of `shape`."""
    noise = evaluate.noise((evaluate.BATCH_SIZE, *shape))
    return Measurements(answers=np.zeros((0, 0)), latency=evaluate.latency(network, noise))


def measure_served(network: Network, dataset: Dataset, temperature: float | None, served: ViewsServed) -> Measurements:
    """Return the measurements on the test images of a network that outputs the probabilities of one view.

    `temperature` is the divisor of its logits; without it, calibration is not measured. The threshold of adaptive views
    is fitted to the validation images.
    """
    how = _views(network, dataset, served)
    serve = forward.with_tta(network, forward.tta_threshold(how))
    answers, truth = evaluate.predict_served(serve, dataset.x_test), dataset.y_test
    return Measurements(
        answers=answers,
        views=how,
        metrics=evaluate.measure(answers, truth, dataset.labels),
        calibration=evaluate.calibration(answers, truth, temperature) if temperature else None,
        latency=evaluate.latency(serve, dataset.x_test),
        unknown=unknown_by_score(evaluate.predict_served(serve, dataset.x_val), answers),
        corrected_accuracy=_corrected_accuracy(serve, dataset),
    )


def unknown_by_score(known: evaluate.Floats, test: evaluate.Floats) -> Unknown:
    """Return the rule that accepts ACCEPTED of the `known` answers (n, classes), and its share of `test`."""
    score = math.floor(float(np.quantile(known.max(axis=1), 1 - ACCEPTED, method="lower")) * 1e6) / 1e6
    return Unknown(score=score, accepted=float(np.mean(test.max(axis=1) >= score)))


def _views(network: Network, dataset: Dataset, served: ViewsServed) -> Views:
    one, six = forward.with_tta(network, forward.NEVER), forward.with_tta(network, forward.ALWAYS)
    answers = evaluate.predict_served(one, dataset.x_test)
    accuracies = {
        "single_accuracy": _accuracy(answers, dataset),
        "six_accuracy": _accuracy(evaluate.predict_served(six, dataset.x_test), dataset),
    }
    if served != "adaptive":
        return Views(served=1 if served == "one" else 6, **accuracies)
    threshold = tta.choose_threshold(
        evaluate.predict_served(one, dataset.x_val), evaluate.predict_served(six, dataset.x_val)
    )
    share = float(np.mean(answers.max(axis=1) < threshold))
    return Views(served="adaptive", threshold=threshold, share=share, **accuracies)


def _corrected_accuracy(serve: forward.Network, dataset: Dataset) -> float | None:
    held = dataset.corrections
    return evaluate.accuracy_on(serve, held.x, held.y) if held else None


def _accuracy(answers: evaluate.Floats, dataset: Dataset) -> float:
    return float(np.mean(answers.argmax(axis=1) == dataset.y_test))
