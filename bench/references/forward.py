"""The forward pass of a network in OpenVINO, as in a worker, or in TensorFlow.

python -m bench.references.forward {openvino,keras} VERSION_FOLDER

Each line on stdin runs one round: `bulk` and `one` print images per second, in the best batch size and alone; `answers`
prints the probabilities of test images.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import MODEL_FILE, OPENVINO_FILE
from worker import hardware
from worker.data.datasets import load_cifar10
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import Network

#: Batch sizes to try; images in a round of `bulk`, of `one`, and of `answers`.
BATCHES, BULK, ONE, COMPARED = (64, 256, 1024), 2048, 200, 2048


def speed(network: Network, images: NDArray[np.uint8], batch: int) -> float:
    """Return images per second."""
    begin = time.perf_counter()
    for start in range(0, len(images), batch):
        network(images[start : start + batch])
    return len(images) / (time.perf_counter() - begin)


def main() -> None:
    """Run a round for each line on stdin."""
    engine, folder = sys.argv[1], Path(sys.argv[2])
    if engine == "openvino":
        network = openvino_runtime.load(folder / OPENVINO_FILE, hardware.cores())
    else:
        network = keras_runtime.load(folder / MODEL_FILE, hardware.cores())
    images = load_cifar10().x_test
    speeds = {batch: min(speed(network, images[:BULK], batch) for _ in range(2)) for batch in (1, *BATCHES)}
    best = max(BATCHES, key=lambda batch: speeds[batch])
    print(json.dumps({"batch": best}), flush=True)
    rounds: dict[str, Callable[[], Any]] = {
        "bulk": lambda: speed(network, images[:BULK], best),
        "one": lambda: speed(network, images[:ONE], 1),
        "answers": lambda: network(images[:COMPARED]).tolist(),
    }
    for line in sys.stdin:
        print(json.dumps(rounds[line.strip()]()), flush=True)


if __name__ == "__main__":
    main()
