"""Publish what a training of `finetune` has made: the Backbone that has learnt on, or the Head if that is better.

A tuned Backbone is a version that is its own Backbone: `openvino.zip` gives Embeddings and probabilities. `head.npz`
has its last layer, and the Embeddings of training pictures, which tell what is unknown.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.card import (
    HEAD_FILE,
    MODEL_FILE,
    OPENVINO_FILE,
    SNAPSHOT_FILE,
    BackboneRef,
    Input,
    ModelCard,
    Unknown,
)
from shared.domain.entities import Job
from shared.domain.preprocessing import Preprocessing
from shared.models.registry import Registry
from worker import hardware
from worker.data.datasets import Dataset
from worker.datasets.snapshot import pack
from worker.evaluation import evaluate
from worker.evaluation.measurements import Measurements
from worker.heads.fit import choose_references, unknown_rule
from worker.heads.methods import ABSENT
from worker.presets.finetune import core, has_norms, preprocessed
from worker.publishing.keras_archive import halve
from worker.publishing.publish import (
    TOLERANCE,
    Provenance,
    complete,
    dataset_info,
    make_card,
    sha256,
    staging,
    version_of,
    write_answers,
    write_indices,
)
from worker.publishing.publish_head import BATCH_SIZE, REPEATS, SAMPLES
from worker.serving import openvino_runtime
from worker.serving.forward import EMBEDDING, PROBABILITIES, Outputs
from worker.serving.head import Head, nearest_distance, normalised
from worker.training.finetune import Prepared
from worker.training.publish_learnt import publish_learnt
from worker.training.publish_trained import code_version
from worker.training.train import TrainedModel

#: The parameter on the card that says what was kept: the tuned network, or the head.
KEPT = "kept"


def publish_better(trained: TrainedModel, prepared: Prepared, registry: Registry, job: Job, out: Path) -> ModelCard:
    """Publish the network, or the Head if no epoch was better, as the folder `out`/<version>; return the card."""
    if not trained.best_epoch:
        return publish_learnt(prepared.learnt, registry, job, out, more={KEPT: "head"}, history=trained.history)
    images, params = prepared.images, trained.params
    provenance = Provenance(
        preset=params.preset,
        params=params.hyperparameters() | {KEPT: "network"},
        labels=images.labels,
        seed=params.seed,
        code_version=code_version(trained.preset),
        history=trained.history,
        best_epoch=trained.best_epoch,
        parent=prepared.learnt.backbone.version,
        training_seconds=round(trained.seconds + prepared.learnt.seconds, 1),
        owner=job.owner,
        classifier=params.dataset,
        preprocessing=prepared.start.preprocessing,
    )
    with staging(out) as folder:
        card = _write(trained.model, images, provenance, folder)
        (folder / SNAPSHOT_FILE).write_bytes(pack(prepared.learnt.frozen))
        complete(folder, card, out)
    return card


def _write(model: Any, images: Dataset, provenance: Provenance, folder: Path) -> ModelCard:
    """Write the files of a tuned network to a folder, measure it as it is served, and return its card."""
    temperature = evaluate.temperature(evaluate.predict(model, images.x_val), images.y_val)
    counts = np.bincount(np.concatenate([images.y_train, images.y_val]), minlength=len(images.labels))
    network = scaled(core(model), temperature, counts == 0)
    run = _save(network, folder, images.x_val[:SAMPLES], provenance.preprocessing)
    head, unknown = _head(network, run, images, provenance.seed or 0)
    head.save(folder)
    vectors = _embed(run, images.x_test)
    probabilities = head.probabilities(vectors)
    write_indices(folder, probabilities.argmax(axis=1), images.y_test, len(images.labels))
    if images.test_numbers is not None:
        write_answers(folder, images.test_numbers, images.y_test, probabilities, head.novelty(vectors))
    measurements = Measurements(
        answers=np.zeros((0, 0)),
        latency=evaluate.latency(lambda x: run(x)[PROBABILITIES], images.x_test, REPEATS, batch_size=BATCH_SIZE),
        metrics=evaluate.measure(probabilities, images.y_test, images.labels),
        calibration=evaluate.calibration(probabilities, images.y_test, temperature),
        unknown=unknown,
    )
    itself = BackboneRef(
        version=version_of(provenance, folder / MODEL_FILE),
        openvino_sha256=sha256(folder / OPENVINO_FILE),
        head_sha256=sha256(folder / HEAD_FILE),
    )
    provenance = replace(provenance, backbone=itself, embedding=head.weights.shape[0])
    height, width, channels = images.x_test.shape[1:]
    shape = Input(height=height, width=width, channels=channels)
    return make_card(folder, shape, network.count_params(), provenance, measurements, dataset=dataset_info(images))


def scaled(model: Any, temperature: float, absent: NDArray[np.bool_]) -> Any:
    """Return the network from its input to probabilities, with its logits divided by `temperature`.

    Labels without pictures, `absent` (classes,), get the probability 0. The weights are rounded to float16, as they are
    stored, so that Keras and OpenVINO compute with the same numbers. With layers of batch normalisation they are not:
    OpenVINO makes these a part of the convolutions before them, and would round other numbers.
    """
    logits = model.layers[-1]
    weights, bias = (array / np.float32(temperature) for array in logits.get_weights())
    last = keras.layers.Dense(logits.units, activation="softmax", name=PROBABILITIES)
    network = keras.Model(model.inputs[0], last(logits.input), name=model.name)
    last.set_weights([weights, np.where(absent, np.float32(ABSENT), bias)])
    if not has_norms(network):
        network.set_weights([array.astype(np.float16).astype(np.float32) for array in network.get_weights()])
    return network


def _save(network: Any, folder: Path, samples: NDArray[np.uint8], preprocessing: Preprocessing) -> Outputs:
    """Write the network for Keras and OpenVINO, and return the latter. Raise ValueError if their answers differ."""
    full = folder / f"full-{MODEL_FILE}"
    network.save(full)
    if has_norms(network):
        full.rename(folder / MODEL_FILE)
    else:
        halve(full, folder / MODEL_FILE)
        full.unlink()
    openvino_runtime.export(network, folder / OPENVINO_FILE, EMBEDDING, preprocessing)
    run = openvino_runtime.load_network(folder / OPENVINO_FILE, hardware.cores()).run
    by_keras = evaluate.predict(preprocessed(network, preprocessing), samples)
    difference = float(np.abs(run(samples)[PROBABILITIES] - by_keras).max())
    if not difference <= TOLERANCE:
        raise ValueError(f"OpenVINO's output differs from that of Keras by {difference:.2g}")
    return run


def _head(network: Any, run: Outputs, images: Dataset, seed: int) -> tuple[Head, Unknown]:
    """Return the last layer with Embeddings to compare others with, and the rule for unknown pictures.

    The rule comes from the validation pictures, which the network has not learnt from.
    """
    weights, bias = network.layers[-1].get_weights()
    seen, held = normalised(_embed(run, images.x_train)), _embed(run, images.x_val)
    known = np.concatenate([seen, normalised(held)])
    head = Head(weights, bias, known[choose_references(len(known), seed)])
    return head, unknown_rule(head.probabilities(held), nearest_distance(held, seen))


def _embed(run: Outputs, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    return run(images)[EMBEDDING].astype(np.float16)
