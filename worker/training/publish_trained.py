"""Publish what a training made: the network with its temperature, and which sources made it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

import worker
from shared.domain.card import MODEL_FILE, ModelCard
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.evaluation.metrics import ViewsServed
from worker.presets import Preset
from worker.publishing.publish import About, publish_file, staging
from worker.training.train import TrainedModel

#: Presets that are served with adaptive views unless somebody says otherwise: those that are after accuracy. The others
#: are after speed and plainness. The figures are in docs/decisions/0008-views.md.
ADAPTIVE_PRESETS = frozenset({"fast", "wide"})

#: The sources in `worker/` that decide what a training run gives, but for the preset's own.
SOURCES = (
    "data/augment.py",
    "data/datasets.py",
    "evaluation/evaluate.py",
    "evaluation/metrics.py",
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
    "training/publish_trained.py",
    "training/steps.py",
    "training/train.py",
)


def publish_trained(
    trained: TrainedModel, dataset: Dataset, out: Path, parent: str | None = None, *, served: ViewsServed | None = None
) -> ModelCard:
    """Save, measure and publish a trained network as the folder `out`/<version>, and return its card.

    `served` is over how many views; None leaves it to the preset. The validation images choose the temperature, and
    the threshold of adaptive views.
    """
    network = plain(trained)
    temperature = evaluate.temperature(evaluate.predict(network, dataset.x_val), dataset.y_val)
    about = About(
        preset=trained.preset.name,
        params=trained.params.hyperparameters(),
        labels=dataset.labels,
        seed=trained.seed,
        code_version=code_version(trained.preset),
        history=trained.history,
        best_epoch=trained.best_epoch,
        parent=parent,
        training_seconds=trained.seconds,
    )
    default: ViewsServed = "adaptive" if about.preset in ADAPTIVE_PRESETS else "one"
    with staging(out) as folder:
        answering(network, temperature).save(folder / MODEL_FILE)
        return publish_file(folder / MODEL_FILE, about, out, dataset, temperature, served=served or default)


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


def code_version(preset: Preset[Any]) -> str:
    """Return `src-` and the first 12 digits of the sha256 over SOURCES and then the preset's own modules.

    It tells apart what the training code was even where there is no git, and ignores commits that did not touch it.
    """
    here = Path(worker.__file__).parent
    modules = dict.fromkeys([preset.build.__module__, type(preset.params).__module__])
    own = [Path(file) for file in (sys.modules[name].__file__ for name in modules) if file]
    files = [*(here / name for name in SOURCES), *own]
    return "src-" + hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
