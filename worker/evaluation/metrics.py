"""How good and how fast a saved model is, as it is served: what its card will say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Calibration, Latency, Metrics, Views
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.serving import forward, tta
from worker.serving.forward import Network

#: Over how many views of an image a model is served; adaptive: six where one is not sure.
ViewsServed = Literal["one", "six", "adaptive"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Measures:
    """Fields of a card, and the probabilities (n, classes) that the test images were given; n = 0 without any.

    `corrected_accuracy` is the share that it gets right of the corrected pictures that are held out.
    """

    answers: NDArray[np.floating[Any]]
    latency: Latency
    views: Views | None = None
    metrics: Metrics | None = None
    calibration: Calibration | None = None
    corrected_accuracy: float | None = None


def unmeasured(network: Network, shape: tuple[int, int, int]) -> Measures:
    """Return what can be said where there are no test images: how fast one view of noise of `shape` is answered."""
    noise = evaluate.noise((evaluate.BATCH_SIZE, *shape))
    return Measures(answers=np.zeros((0, 0)), latency=evaluate.latency(network, noise))


def measured(network: Network, dataset: Dataset, temperature: float | None, served: ViewsServed) -> Measures:
    """Return how good a network, which gives probabilities to one view, is on the test images when it is served so.

    `temperature` is what its logits are divided by; there is no calibration without it. The validation images choose
    the threshold of adaptive views.
    """
    how = _views(network, dataset, served)
    serve = forward.with_tta(network, forward.tta_threshold(how))
    answers, truth = evaluate.answers(serve, dataset.x_test), dataset.y_test
    return Measures(
        answers=answers,
        views=how,
        metrics=evaluate.measure(answers, truth, dataset.labels),
        calibration=evaluate.calibration(answers, truth, temperature) if temperature else None,
        latency=evaluate.latency(serve, dataset.x_test),
        corrected_accuracy=_corrected_accuracy(serve, dataset),
    )


def _views(network: Network, dataset: Dataset, served: ViewsServed) -> Views:
    one, six = forward.with_tta(network, forward.NEVER), forward.with_tta(network, forward.ALWAYS)
    answers = evaluate.answers(one, dataset.x_test)
    accuracies = {
        "single_accuracy": _accuracy(answers, dataset),
        "six_accuracy": _accuracy(evaluate.answers(six, dataset.x_test), dataset),
    }
    if served != "adaptive":
        return Views(served=1 if served == "one" else 6, **accuracies)
    threshold = tta.choose_threshold(evaluate.answers(one, dataset.x_val), evaluate.answers(six, dataset.x_val))
    share = float(np.mean(answers.max(axis=1) < threshold))
    return Views(served="adaptive", threshold=threshold, share=share, **accuracies)


def _corrected_accuracy(serve: forward.Network, dataset: Dataset) -> float | None:
    held = dataset.corrections
    return evaluate.share_right(serve, held.x, held.y) if held else None


def _accuracy(answers: evaluate.Floats, dataset: Dataset) -> float:
    return float(np.mean(answers.argmax(axis=1) == dataset.y_test))
