"""Training time of preset `seed`, against the same network in a plain Keras `fit`.

`fit` trains on all 50,000 training images of CIFAR-10, Darkroom on 48,000, and validates on the others. The two run
alternately, in separate processes. Times exclude imports and loading the data; Darkroom's include validation.

DARKROOM_CIFAR10=cifar10.npz python -m bench.seed --epochs 8 --repeats 1
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from worker.data.datasets import load_cifar10


def plain(epochs: int) -> dict[str, Any]:
    """Train with Keras `fit`: images in [0, 1], Adam, batches of 32."""
    import keras
    import numpy as np

    from bench.references.network import network

    keras.utils.set_random_seed(0)
    data, model = load_cifar10(), network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images = np.concatenate([data.x_train, data.x_val]) / np.float32(255)
    truth = np.concatenate([data.y_train, data.y_val])
    begin = time.perf_counter()
    model.fit(images, truth, epochs=epochs, batch_size=32, verbose=0)
    seconds = time.perf_counter() - begin
    answers = model.predict(data.x_test / np.float32(255), batch_size=256, verbose=0)
    return {"seconds": seconds, "accuracy": float(np.mean(answers.argmax(axis=1) == data.y_test))}


def darkroom(epochs: int) -> dict[str, Any]:
    """Train preset `seed` as a training job does."""
    import numpy as np

    from worker.evaluation import evaluate
    from worker.presets import PRESETS
    from worker.training.train import train

    preset, data = PRESETS["seed"], load_cifar10()
    params = preset.params.model_copy(update={"epochs": epochs})
    begin = time.perf_counter()
    trained = train(preset, data, params)
    seconds = time.perf_counter() - begin
    answers = evaluate.predict(trained.model, data.x_test)
    return {"seconds": seconds, "accuracy": float(np.mean(answers.argmax(axis=1) == data.y_test))}


ARMS = {"plain": plain, "darkroom": darkroom}


def run(arm: str, epochs: int) -> dict[str, Any]:
    """Run one arm in a separate process, print and return its figures."""
    command = [sys.executable, "-m", "bench.seed", "--arm", arm, "--epochs", str(epochs)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(f"{arm:10} {result['seconds']:7.1f} s   test accuracy {result['accuracy']:.2%}", flush=True)
    return result


def main() -> None:
    """Print the figures of each run, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training images (default: 8)")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each arm (default: 1)")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(ARMS[options.arm](options.epochs)))
        return
    results = [{arm: run(arm, options.epochs) for arm in ARMS} for _ in range(options.repeats)]
    medians = {arm: statistics.median(each[arm]["seconds"] for each in results) for arm in ARMS}
    print(f"darkroom / plain: {medians['darkroom'] / medians['plain']:.2f}")


if __name__ == "__main__":
    main()
