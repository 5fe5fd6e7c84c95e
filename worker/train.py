"""Train a preset, measure what came out, and publish it as an immutable ModelVersion.

python -m worker.train --preset seed --seed 0 --out models
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.card import CARD_FILE, MODEL_FILE, DatasetInfo, Epoch, Hardware, Input, ModelCard, Size
from shared.errors import DarkroomError, InvalidRequest
from worker import evaluate
from worker.datasets import Dataset, load_cifar10
from worker.presets import PRESETS, Params, Preset, get

OnEpoch = Callable[[Epoch], None]

#: The sources that decide what a training run gives, but for the preset's own.
SOURCES = ("datasets.py", "evaluate.py", "train.py", "presets/base.py")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with its final weights, and what is known of how it was made."""

    model: Any
    preset: Preset[Any]
    params: Params
    seed: int
    history: tuple[Epoch, ...]
    seconds: float


def train(
    preset: Preset[Any],
    dataset: Dataset,
    seed: int,
    params: Params | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainedModel:
    """Train `preset` on the training images and return it with the weights of the last epoch.

    `params` replaces the preset's own hyperparameters. `on_epoch` is called with each epoch's row as it ends; what it
    raises ends the training. The same arguments give the same weights on the same machine; for that, the random state
    of the whole process is set, and TensorFlow keeps to deterministic operations from here on (it cost 4 % of the
    time of preset `seed` on two cores). Raises InvalidRequest where the loss stops being a number.
    """
    params = params or preset.params
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = preset.build(params)
    start = time.perf_counter()
    history = _fit(model, dataset, params, on_epoch or (lambda _: None))
    return TrainedModel(model, preset, params, seed, history, round(time.perf_counter() - start, 1))


def _fit(model: Any, dataset: Dataset, params: Params, on_epoch: OnEpoch) -> tuple[Epoch, ...]:
    rows: list[Epoch] = []
    started = 0.0

    def begin(_epoch: int, _logs: object) -> None:
        nonlocal started
        started = time.perf_counter()

    def end(epoch: int, logs: dict[str, float]) -> None:
        rows.append(_row(epoch + 1, logs, time.perf_counter() - started))
        on_epoch(rows[-1])

    model.fit(
        dataset.x_train,
        dataset.y_train,
        validation_data=(dataset.x_val, dataset.y_val),
        epochs=params.epochs,
        batch_size=params.batch_size,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)],
        verbose=0,
    )
    return tuple(rows)


def _row(epoch: int, logs: dict[str, float], seconds: float) -> Epoch:
    if not (math.isfinite(logs["loss"]) and math.isfinite(logs["val_loss"])):
        raise InvalidRequest(f"Training diverged in epoch {epoch}: try a smaller learning rate.")
    figures = {name: round(float(logs[name]), 4) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    return Epoch(epoch=epoch, seconds=round(seconds, 1), **figures)


def publish(trained: TrainedModel, dataset: Dataset, out: Path, parent: str | None = None) -> ModelCard:
    """Save, measure and publish a model as the folder `out`/<version>, and return its card.

    The folder appears whole, or not at all. The measures are taken from the saved file, read back.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _staging(out) as folder:
        file = folder / MODEL_FILE
        # A model made of the network's ends leaves out the optimizer's state, two thirds of the file.
        keras.Model(trained.model.inputs, trained.model.outputs, name=trained.preset.name).save(file)
        card = _describe(trained, dataset, file, parent)
        card.write(folder / CARD_FILE)
        folder.rename(out / card.version)
    return card


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    folder = out / f".{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _describe(trained: TrainedModel, dataset: Dataset, file: Path, parent: str | None) -> ModelCard:
    model = keras.models.load_model(file, compile=False)
    height, width, channels = model.input_shape[1:]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    now = datetime.now(UTC).replace(microsecond=0)
    return ModelCard(
        version=f"{trained.preset.name}-{now:%Y%m%d}-{digest[:8]}",
        preset=trained.preset.name,
        params=trained.params.as_dict(),
        labels=dataset.labels,
        input=Input(height=height, width=width, channels=channels),
        dataset=_dataset_info(dataset),
        seed=trained.seed,
        code_version=code_version(trained.preset),
        versions={
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        hardware=_hardware(),
        metrics=evaluate.measure(evaluate.predict(model, dataset.x_test), dataset.y_test, dataset.labels),
        size=Size(file_bytes=file.stat().st_size, parameters=model.count_params()),
        latency=evaluate.latency(model),
        history=trained.history,
        parent=parent,
        created_at=now,
        file_sha256=digest,
        training_seconds=trained.seconds,
    )


def _dataset_info(dataset: Dataset) -> DatasetInfo:
    return DatasetInfo(
        name=dataset.name,
        digest=dataset.digest,
        train=len(dataset.x_train),
        validation=len(dataset.x_val),
        test=len(dataset.x_test),
    )


def code_version(preset: Preset[Any]) -> str:
    """Return `src-` and the first 12 digits of the sha256 over SOURCES and then the preset's own module.

    It tells apart what the training code was even where there is no git, and ignores commits that did not touch it.
    """
    here = Path(__file__).parent
    own = sys.modules[preset.build.__module__].__file__
    files = [here / name for name in SOURCES] + ([Path(own)] if own else [])
    return "src-" + hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _hardware() -> Hardware:
    gpus = tf.config.list_physical_devices("GPU")
    gpu = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown") if gpus else None
    return Hardware(cpu=_cpu_name(), cores=_cores(), gpu=gpu)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status, 1 with a sentence on stderr where it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        preset = get(options.preset)
        params = preset.params.changed(
            epochs=options.epochs, batch_size=options.batch_size, learning_rate=options.learning_rate
        )
        dataset = load_cifar10()
        print(f"{preset.name}, seed {options.seed}, {params.as_dict()}", flush=True)
        trained = train(preset, dataset, options.seed, params, _print_row)
        card = publish(trained, dataset, options.out)
    except DarkroomError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"test accuracy {card.metrics.accuracy:.2%}, trained in {card.training_seconds:.0f} s: {card.version}")
    return 0


def _print_row(row: Epoch) -> None:
    print(
        f"epoch {row.epoch:3}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
        f"val_loss {row.val_loss:.4f}  val_accuracy {row.val_accuracy:.4f}  {row.seconds:.1f} s",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.train",
        description="Train a preset on CIFAR-10, measure it on the test images, and publish it as a folder that holds "
        f"{MODEL_FILE} and {CARD_FILE}. The data is the .npz file that DARKROOM_CIFAR10 names, or else is downloaded.",
    )
    parser.add_argument("--preset", default="seed", choices=sorted(PRESETS), help="what to train (default: seed)")
    parser.add_argument("--seed", type=int, default=0, help="random seed; the same one gives the same weights")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish into (default: models)")
    parser.add_argument("--epochs", type=int, help="passes over the training images, instead of the preset's")
    parser.add_argument("--batch-size", type=int, help="images per gradient step, instead of the preset's")
    parser.add_argument("--learning-rate", type=float, help="the optimizer's step size, instead of the preset's")
    return parser


if __name__ == "__main__":
    sys.exit(main())
