"""Gain and cost of six views of an image, by the confidence threshold: the table in docs/decisions/0008-views.md.

DARKROOM_CIFAR10=cifar10.npz python -m bench.tta models/VERSION

The threshold is chosen on the validation images, and measured on the test images. Times are processor times. Each round
runs one batch with every threshold and computes the ratio to one view, so that other load affects all thresholds alike.
The table has the medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import OPENVINO_FILE
from worker import hardware
from worker.data.datasets import load_cifar10
from worker.evaluation import evaluate
from worker.serving import forward, openvino_runtime, tta

#: Thresholds: images with less confidence get six views.
THRESHOLDS = (forward.NEVER, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, forward.ALWAYS)

#: Images in a batch, and batches for each ratio.
BATCH_SIZE, ROUNDS = 256, 10

HEAD = ("below", "validation", "test", "six views", "other label", "error", "loss", "error, 2nd T", "work", "time")

Floats = NDArray[np.floating[Any]]


class Part:
    """Predictions for a part of the data set, with one view and with six, and the true labels."""

    def __init__(self, network: forward.Network, images: NDArray[np.uint8], truth: NDArray[Any]) -> None:
        self.truth = truth
        self.one = evaluate.predict_served(forward.with_tta(network, forward.NEVER), images)
        self.six = evaluate.predict_served(forward.with_tta(network, forward.ALWAYS), images)

    def unsure(self, below: float) -> NDArray[np.bool_]:
        """Return which images get six views."""
        return np.asarray(self.one.max(axis=1) < below)

    def served(self, below: float, second: float = 1.0) -> Floats:
        """Return the predictions; the logits of six views are divided by the temperature `second`."""
        return np.where(self.unsure(below)[:, None], tta.softmax(tta.log(self.six) / second), self.one)

    def accuracy(self, below: float) -> float:
        """Return the accuracy."""
        return float(np.mean(self.served(below).argmax(axis=1) == self.truth))


def main() -> None:
    """Print the table for a version."""
    parser = argparse.ArgumentParser(prog="python -m bench.tta", description=__doc__.splitlines()[0])
    parser.add_argument("version", type=Path, help="folder of a model that serves one view")
    network = openvino_runtime.load(parser.parse_args().version / OPENVINO_FILE, hardware.cores())
    data = load_cifar10()
    val, test = Part(network, data.x_val, data.y_val), Part(network, data.x_test, data.y_test)
    chosen = tta.choose_threshold(val.one, val.six)
    thresholds = sorted({*THRESHOLDS, chosen})
    print(f"Threshold chosen on the validation images: {chosen}.\n")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for below, ratio in zip(thresholds, costs(network, data.x_test, thresholds), strict=True):
        print(row(below, val, test, ratio))


def row(below: float, val: Part, test: Part, ratio: float) -> str:
    """Return one line of the table."""
    answers, unsure = test.served(below), test.unsure(below)
    own = test.served(below, second_temperature(val, below))
    cells = (
        f"{below:g}",
        f"{val.accuracy(below):.2%}",
        f"{test.accuracy(below):.2%}",
        f"{unsure.mean():.1%}",
        str(np.count_nonzero(answers.argmax(axis=1) != test.six.argmax(axis=1))),
        f"{evaluate.calibration_error(answers, test.truth):.4f}",
        f"{evaluate.cross_entropy(answers, test.truth):.4f}",
        f"{evaluate.calibration_error(own, test.truth):.4f}",
        f"{1 + 5 * unsure.mean():.2f}",
        f"{ratio:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def second_temperature(val: Part, below: float) -> float:
    """Return the best temperature for six views, on the validation images that get them."""
    unsure = val.unsure(below)
    return evaluate.temperature(tta.log(val.six[unsure]), val.truth[unsure]) if unsure.any() else 1.0


def costs(network: forward.Network, images: NDArray[np.uint8], thresholds: Sequence[float]) -> list[float]:
    """Return the median processor time of each threshold, relative to the first one."""
    serves = [forward.with_tta(network, below) for below in thresholds]
    for serve in serves:
        serve(images[:BATCH_SIZE])
    batches = (images[number * BATCH_SIZE : (number + 1) * BATCH_SIZE] for number in range(ROUNDS))
    taken = np.array([[seconds(serve, batch) for serve in serves] for batch in batches])
    ratios: list[float] = np.median(taken / taken[:, :1], axis=0).tolist()
    return ratios


def seconds(serve: forward.Network, batch: NDArray[np.uint8]) -> float:
    """Return the processor time of one batch, all threads included, in seconds."""
    start = time.process_time()
    serve(batch)
    return time.process_time() - start


if __name__ == "__main__":
    main()
