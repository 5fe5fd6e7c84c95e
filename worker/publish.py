"""Publish a trained network: a self-contained Keras file that answers calibrated probabilities, and its card."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from shared.card import CARD_FILE, MODEL_FILE, DatasetInfo, Hardware, Input, ModelCard, Size, Software, Views
from worker import evaluate, hardware, views
from worker.datasets import Dataset
from worker.presets import Preset
from worker.train import TrainedModel

#: The sources that decide what a training run gives, but for the preset's own.
SOURCES = (
    "augment.py",
    "datasets.py",
    "evaluate.py",
    "muon.py",
    "presets/base.py",
    "publish.py",
    "run.py",
    "train.py",
    "views.py",
    "whitening.py",
)


def publish(
    trained: TrainedModel, dataset: Dataset, out: Path, parent: str | None = None, *, six_views: bool = False
) -> ModelCard:
    """Save, measure and publish a model as the folder `out`/<version>, and return its card.

    The folder appears whole, or not at all. The measures are taken from the saved file, read back. `six_views` builds
    the six views into the published network: more accurate, at six times the cost of a forward pass.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _staging(out) as folder:
        file = folder / MODEL_FILE
        network = plain(trained)
        served = views.in_graph(network) if six_views else network
        temperature = evaluate.temperature(evaluate.predict(served, dataset.x_val), dataset.y_val)
        answering(served, temperature).save(file)
        card = _describe(trained, dataset, file, temperature, parent, six_views=six_views)
        card.write(folder / CARD_FILE)
        folder.rename(out / card.version)
    return card


def plain(trained: TrainedModel) -> Any:
    """Return the network with its weights in float32 throughout, which any machine can serve; it gives logits."""
    network = trained.preset.build(trained.params, replace(trained.setup, precision="float32"))
    network.set_weights(trained.model.get_weights())
    return keras.Model(network.inputs[0], network.outputs[0], name=trained.preset.name)


def answering(network: Any, temperature: float) -> Any:
    """Return the network with its logits divided by `temperature` and turned into probabilities."""
    scaled = keras.layers.Rescaling(1 / temperature, name="temperature")(network.outputs[0])
    answer = keras.layers.Softmax(name="probabilities")(scaled)
    return keras.Model(network.inputs[0], answer, name=network.name)


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    folder = out / f".{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _describe(
    trained: TrainedModel, dataset: Dataset, file: Path, temperature: float, parent: str | None, *, six_views: bool
) -> ModelCard:
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    height, width, channels = model.input_shape[1:]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    now = datetime.now(UTC).replace(microsecond=0)
    answers = evaluate.predict(model, dataset.x_test)
    return ModelCard(
        version=f"{trained.preset.name}-{now:%Y%m%d}-{digest[:8]}",
        preset=trained.preset.name,
        params=trained.params.as_dict(),
        labels=dataset.labels,
        input=Input(height=height, width=width, channels=channels),
        dataset=_dataset_info(dataset),
        seed=trained.seed,
        code_version=code_version(trained.preset),
        versions=_versions(),
        hardware=Hardware(cpu=hardware.cpu_name(), cores=hardware.cores(), gpu=hardware.gpu_name()),
        metrics=evaluate.measure(answers, dataset.y_test, dataset.labels),
        calibration=evaluate.calibration(answers, dataset.y_test, temperature),
        views=_views(trained, dataset, answers, temperature, six_views=six_views),
        size=Size(file_bytes=file.stat().st_size, parameters=model.count_params()),
        latency=evaluate.latency(model),
        history=trained.history,
        best_epoch=trained.best_epoch,
        parent=parent,
        created_at=now,
        file_sha256=digest,
        training_seconds=trained.seconds,
    )


def _views(
    trained: TrainedModel, dataset: Dataset, answers: evaluate.Floats, temperature: float, *, six_views: bool
) -> Views:
    """Return the accuracy with one view and with six; `answers` are what the published network says."""

    def share(probabilities: evaluate.Floats) -> float:
        return float(np.mean(probabilities.argmax(axis=1) == dataset.y_test))

    network = answering(plain(trained), temperature)
    if six_views:
        return Views(
            served=6, single_accuracy=share(evaluate.predict(network, dataset.x_test)), six_accuracy=share(answers)
        )
    six = views.predict_six(lambda images: evaluate.predict(network, images), dataset.x_test)
    return Views(served=1, single_accuracy=share(answers), six_accuracy=share(six))


def _versions() -> dict[Software, str]:
    import tensorflow as tf  # noqa: PLC0415 - what Keras computes with need not be it

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def _dataset_info(dataset: Dataset) -> DatasetInfo:
    return DatasetInfo(
        name=dataset.name,
        digest=dataset.digest,
        train=len(dataset.x_train),
        validation=len(dataset.x_val),
        test=len(dataset.x_test),
    )


def code_version(preset: Preset[Any]) -> str:
    """Return `src-` and the first 12 digits of the sha256 over SOURCES and then the preset's own modules.

    It tells apart what the training code was even where there is no git, and ignores commits that did not touch it.
    """
    here = Path(__file__).parent
    modules = dict.fromkeys([preset.build.__module__, type(preset.params).__module__])
    own = [Path(file) for file in (sys.modules[name].__file__ for name in modules) if file]
    files = [*(here / name for name in SOURCES), *own]
    return "src-" + hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
