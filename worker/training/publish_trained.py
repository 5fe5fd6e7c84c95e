"""Publish a trained network with its temperature and the version of the code that trained it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

import worker
from shared.domain.card import MODEL_FILE, ModelCard
from shared.domain.classifier import CIFAR10
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.evaluation.measurements import ViewsServed
from worker.presets import Preset
from worker.publishing.publish import Provenance, publish_file, staging
from worker.training.train import TrainedModel

#: Presets that aim for accuracy and are served with adaptive views by default. See docs/decisions/0008-views.md.
ADAPTIVE_PRESETS = frozenset({"fast", "wide", "distil"})

#: Sources in `worker/` that determine the result of a training, apart from the preset's own.
SOURCES = (
    "data/augment.py",
    "data/datasets.py",
    "datasets/images.py",
    "evaluation/evaluate.py",
    "evaluation/measurements.py",
    "presets/base.py",
    "presets/muon.py",
    "presets/whitening.py",
    "publishing/publish.py",
    "serving/forward.py",
    "serving/keras_runtime.py",
    "serving/openvino_runtime.py",
    "serving/tta.py",
    "training/corrections.py",
    "training/loop.py",
    "training/progress.py",
    "training/publish_trained.py",
    "training/steps.py",
    "training/teacher.py",
    "training/train.py",
)


def publish_trained(
    trained: TrainedModel, dataset: Dataset, out: Path, parent: str | None = None, *, served: ViewsServed | None = None
) -> ModelCard:
    """Save, measure and publish a trained network as the folder `out`/<version>, and return its card.

    `served` is the number of views; None means the preset's default. The temperature and the threshold of adaptive
    views are fitted to the validation images.
    """
    network = in_float32(trained)
    temperature = evaluate.temperature(evaluate.predict(network, dataset.x_val), dataset.y_val)
    provenance = Provenance(
        preset=trained.preset.name,
        params=trained.params.hyperparameters(),
        labels=dataset.labels,
        seed=trained.params.seed,
        code_version=code_version(trained.preset),
        history=trained.history,
        best_epoch=trained.best_epoch,
        parent=parent,
        training_seconds=trained.seconds,
        owner=dataset.origin.owner if dataset.origin else None,
        classifier=dataset.name if dataset.origin else CIFAR10.name,
    )
    default: ViewsServed = "adaptive" if provenance.preset in ADAPTIVE_PRESETS else "one"
    with staging(out) as folder:
        with_probabilities(network, temperature).save(folder / MODEL_FILE)
        return publish_file(folder / MODEL_FILE, provenance, out, dataset, temperature, served=served or default)


def in_float32(trained: TrainedModel) -> Any:
    """Return the network with float32 arithmetic, which every machine can serve; it outputs logits."""
    network = trained.preset.build(trained.params, replace(trained.setup, precision="float32"))
    network.set_weights(trained.model.get_weights())
    return keras.Model(network.inputs[0], network.outputs[0], name=trained.preset.name)


def with_probabilities(network: Any, temperature: float) -> Any:
    """Return the network with a softmax over its logits divided by `temperature`."""
    scaled = keras.layers.Rescaling(1 / temperature, name="temperature")(network.outputs[0])
    answer = keras.layers.Softmax(name="probabilities")(scaled)
    return keras.Model(network.inputs[0], answer, name=network.name)


def code_version(preset: Preset[Any]) -> str:
    """Return `src-` and the first 12 hex digits of the sha256 of SOURCES followed by the preset's own modules.

    Unlike a commit id, it works without git and changes only with the training code.
    """
    here = Path(worker.__file__).parent
    modules = dict.fromkeys([preset.build.__module__, type(preset.params).__module__])
    own = [Path(file) for file in (sys.modules[name].__file__ for name in modules) if file]
    files = [*(here / name for name in SOURCES), *own]
    return "src-" + hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
