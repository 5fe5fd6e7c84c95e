"""Metrics of a model's quality and speed.

Metrics are functions of `probabilities`, a float array (n, classes) whose rows sum to 1, and `truth`, an integer array
(n,) of label indices, with n ≥ 1. Parameters, such as a temperature, are fitted to the validation images; the test
images are used for the final metrics only.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Bin, Calibration, ClassMetrics, Latency, Metrics
from shared.models.comparison import wilson
from worker.serving import keras_runtime
from worker.serving.forward import Network
from worker.serving.tta import log, softmax

#: Images per forward pass in evaluation and in the measurement of throughput. PIXELS limits a pass of `predict`: what
#: the layers of a big network put out takes gigabytes.
BATCH_SIZE, PIXELS = 256, 2**20

#: Equal-width bins of confidence for the calibration error, as in Guo et al. 2017, section 3.
CALIBRATION_BINS = 15

#: Lower bound of probabilities before the logarithm, as in Keras's cross-entropy (`keras.config.epsilon`).
EPSILON = 1e-7

#: Bounds of the temperature.
TEMPERATURES = (0.05, 20.0)

#: Steps of golden-section search: each keeps 0.618 of the interval, so 40 give ln T to eight digits.
SEARCH_STEPS = 40

#: Timed forward passes per median of `latency`, and untimed ones before them.
REPEATS, WARM_UP = 11, 2

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


def predictor(model: Any) -> Callable[[NDArray[np.uint8]], Floats]:
    """Return the function from uint8 images (n, height, width, 3) to the outputs of `model`, float32 (n, classes).

    It follows the weights as they change. It is one graph; `model.predict` makes an input pipeline too, for which a
    small network would need longer than for its answers.
    """
    run = keras_runtime.compiled(model)

    def predict(images: NDArray[np.uint8]) -> Floats:
        height, width = images.shape[1:3]
        size = max(1, min(BATCH_SIZE, PIXELS // (height * width)))
        return np.concatenate([run(images[start : start + size]) for start in range(0, len(images), size)])

    return predict


def predict(model: Any, images: NDArray[np.uint8]) -> Floats:
    """Return the outputs of `model`, float32 (n, classes), for uint8 images (n, height, width, 3)."""
    return predictor(model)(images)


def predict_served(forward: Network, images: NDArray[np.uint8]) -> Floats:
    """Return the probabilities of a served model, float32 (n, classes), for uint8 images (n, height, width, 3)."""
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate([forward(images[start : start + BATCH_SIZE]) for start in starts])


def accuracy_on(forward: Network, images: NDArray[np.uint8], truth: Integers) -> float | None:
    """Return the accuracy of a served model on the images, 0 to 1; None if there are no images."""
    return float(np.mean(predict_served(forward, images).argmax(axis=1) == truth)) if len(images) else None


def measure(probabilities: Floats, truth: Integers, labels: Sequence[str]) -> Metrics:
    """Return the quality metrics for a model's card; `labels` are the class names by index."""
    confusion = confusion_matrix(truth, probabilities.argmax(axis=1), len(labels))
    return Metrics(
        accuracy=accuracy(confusion),
        accuracy_interval=wilson(accuracy(confusion), len(truth)),
        loss=cross_entropy(probabilities, truth),
        per_class=per_class(confusion, labels),
        confusion_matrix=tuple(tuple(row) for row in confusion.tolist()),
        calibration_error=calibration_error(probabilities, truth),
    )


def confusion_matrix(truth: Integers, predicted: Integers, classes: int) -> NDArray[np.int64]:
    """Return the number of images of class i (row) predicted as class j (column), int64 (classes, classes)."""
    pairs = truth.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: Integers) -> float:
    """Return the fraction of images on the diagonal."""
    return float(np.trace(confusion) / confusion.sum())


def per_class(confusion: Integers, labels: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Return precision, recall, F1 (their harmonic mean) and support of each class; 0/0 counts as 0."""
    hits, support, claimed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    columns = (_ratio(hits, claimed), _ratio(hits, support), _ratio(2 * hits, support + claimed), support.tolist())
    return tuple(
        ClassMetrics(
            label=label,
            precision=precision,
            recall=recall,
            recall_interval=wilson(recall, count) if count else None,
            f1=f1,
            support=count,
        )
        for label, precision, recall, f1, count in zip(labels, *columns, strict=True)
    )


def cross_entropy(probabilities: Floats, truth: Integers) -> float:
    """Return the mean of −ln p(truth), in nats; p is clipped to [EPSILON, 1 − EPSILON] as Keras does."""
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, EPSILON, 1 - EPSILON)).mean())


def calibration_error(probabilities: Floats, truth: Integers, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error, 0 to 1: the mean gap between confidence and accuracy.

    The gaps of `reliability`'s bins are weighted by their images. Guo, Pleiss, Sun and Weinberger, "On Calibration of
    Modern Neural Networks", ICML 2017, equation 3 (arXiv:1706.04599).
    """
    rows = reliability(probabilities, truth, bins)
    gaps = [row.count * abs(row.accuracy - row.confidence) for row in rows if row.count]
    return float(sum(gaps) / len(truth))


def reliability(probabilities: Floats, truth: Integers, bins: int = CALIBRATION_BINS) -> tuple[Bin, ...]:
    """Return accuracy by confidence; bin b holds the images with a confidence in ((b−1)/bins, b/bins]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == truth
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    columns = (_ratio(np.bincount(places, weights=what, minlength=bins), counts) for what in (confidence, correct))
    rows = zip(counts.tolist(), *columns, strict=True)
    return tuple(
        Bin(upper=(place + 1) / bins, count=count, confidence=min(1.0, mean), accuracy=share)
        for place, (count, mean, share) in enumerate(rows)
    )


def temperature(logits: Floats, truth: Integers) -> float:
    """Return the temperature, 0.05 to 20, that minimises the cross-entropy of logits (n, classes) divided by it.

    Guo et al. 2017, section 4.2. Rankings, and so the accuracy, do not change. The cross-entropy is convex in 1/T, so
    it has one minimum in ln T, which golden-section search finds.
    """
    low, high = (math.log(bound) for bound in TEMPERATURES)
    golden = (math.sqrt(5) - 1) / 2

    def loss(place: float) -> float:
        return cross_entropy(softmax(logits.astype(np.float64) / math.exp(place)), truth)

    left, right = high - golden * (high - low), low + golden * (high - low)
    losses = loss(left), loss(right)
    for _ in range(SEARCH_STEPS):
        if losses[0] < losses[1]:
            high, right, left = right, left, right - golden * (right - low)
            losses = loss(left), losses[0]
        else:
            low, left, right = left, right, left + golden * (high - left)
            losses = losses[1], loss(right)
    return round(math.exp((low + high) / 2), 6)


def calibration(probabilities: Floats, truth: Integers, fitted: float) -> Calibration:
    """Return the calibration of `probabilities`, and before their logits were divided by the temperature `fitted`."""
    before = softmax(log(probabilities) * fitted)
    return Calibration(
        temperature=fitted,
        error_before=calibration_error(before, truth),
        error_after=calibration_error(probabilities, truth),
        loss_before=cross_entropy(before, truth),
        reliability=reliability(probabilities, truth),
    )


def latency(
    forward: Network, images: NDArray[np.uint8], repeats: int = REPEATS, *, batch_size: int = BATCH_SIZE
) -> Latency:
    """Return the latency of a served model on this machine for one image and for a batch, after warming up.

    Each pass gets the next images of `images`, since the time of adaptive views depends on the images. Use realistic
    images; `noise` only if there are none.
    """

    def seconds(rows: int) -> float:
        places = itertools.count(step=rows)
        return median_seconds(lambda: forward(_cyclic_slice(images, next(places), rows)), repeats)

    return Latency(
        single_image_ms=round(seconds(1) * 1000, 3),
        batch_images_per_second=round(batch_size / seconds(batch_size), 1),
        batch_size=batch_size,
        repeats=repeats,
    )


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return uniform uint8 noise; the same for equal shapes."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median wall-clock time of `repeats` calls, after WARM_UP untimed ones."""
    times = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def _cyclic_slice(images: NDArray[np.uint8], start: int, rows: int) -> NDArray[np.uint8]:
    """Return `rows` images from `start` on, continuing with the first after the last."""
    return images.take(range(start, start + rows), axis=0, mode="wrap")


def _ratio(part: Integers, whole: Integers) -> list[float]:
    quotients: list[float] = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0).tolist()
    return quotients
