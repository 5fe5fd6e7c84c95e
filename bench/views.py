"""What six views of an image gain and cost, by how sure the first has to be: the table of docs/decisions/0008-views.md.

DARKROOM_CIFAR10=cifar10.npz python -m bench.views models/VERSION

The validation images choose the threshold, the test images only measure. Time is that of the processor, not of the
clock, and is taken in turns: each round runs one batch of test images with every threshold, and notes the ratio to one
view. So other work on the machine takes little from the figures, and the same from all. The table has the medians.
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

#: Confidence below which an image gets six views: none, some, all.
THRESHOLDS = (forward.NEVER, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, forward.ALWAYS)

#: Images in a batch, and batches behind each ratio.
BATCH_SIZE, ROUNDS = 256, 10

HEAD = ("below", "validation", "test", "six views", "other label", "error", "loss", "error, 2nd T", "work", "time")

Floats = NDArray[np.floating[Any]]


class Part:
    """The answers to one part of the images, by one view and by six, and the right ones."""

    def __init__(self, network: forward.Network, images: NDArray[np.uint8], truth: NDArray[Any]) -> None:
        self.truth = truth
        self.one = evaluate.answers(forward.with_tta(network, forward.NEVER), images)
        self.six = evaluate.answers(forward.with_tta(network, forward.ALWAYS), images)

    def unsure(self, below: float) -> NDArray[np.bool_]:
        """Which images get six views."""
        return np.asarray(self.one.max(axis=1) < below)

    def served(self, below: float, second: float = 1.0) -> Floats:
        """The answers, with the logits of six views divided by a temperature of their own."""
        return np.where(self.unsure(below)[:, None], tta.softmax(tta.log(self.six) / second), self.one)

    def accuracy(self, below: float) -> float:
        """Share of right answers."""
        return float(np.mean(self.served(below).argmax(axis=1) == self.truth))


def main() -> None:
    """Print the table for one version."""
    parser = argparse.ArgumentParser(prog="python -m bench.views", description=__doc__.splitlines()[0])
    parser.add_argument("version", type=Path, help="folder of a model that answers by one view")
    network = openvino_runtime.load(parser.parse_args().version / OPENVINO_FILE, hardware.cores())
    data = load_cifar10()
    val, test = Part(network, data.x_val, data.y_val), Part(network, data.x_test, data.y_test)
    chosen = tta.choose_threshold(val.one, val.six)
    thresholds = sorted({*THRESHOLDS, chosen})
    print(f"The validation images choose {chosen}.\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for below, ratio in zip(thresholds, costs(network, data.x_test, thresholds), strict=True):
        print(row(below, val, test, ratio))


def row(below: float, val: Part, test: Part, ratio: float) -> str:
    """One line of the table."""
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
    """The temperature that fits the answers by six views best, on the validation images that get them."""
    unsure = val.unsure(below)
    return evaluate.temperature(tta.log(val.six[unsure]), val.truth[unsure]) if unsure.any() else 1.0


def costs(network: forward.Network, images: NDArray[np.uint8], thresholds: Sequence[float]) -> list[float]:
    """The processor time of each threshold as a multiple of the first one's, medians over the rounds."""
    serves = [forward.with_tta(network, below) for below in thresholds]
    for serve in serves:
        serve(images[:BATCH_SIZE])
    batches = (images[number * BATCH_SIZE : (number + 1) * BATCH_SIZE] for number in range(ROUNDS))
    taken = np.array([[seconds(serve, batch) for serve in serves] for batch in batches])
    ratios: list[float] = np.median(taken / taken[:, :1], axis=0).tolist()
    return ratios


def seconds(serve: forward.Network, batch: NDArray[np.uint8]) -> float:
    """Processor time of one batch, over all threads."""
    start = time.process_time()
    serve(batch)
    return time.process_time() - start


if __name__ == "__main__":
    main()
