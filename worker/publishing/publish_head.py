"""Publish a Head on a Backbone as a version of its own, without TensorFlow: it takes a few seconds.

The version is complete, with the whole network for Keras and OpenVINO. Darkroom itself serves it from the Backbone that
is in memory already, and the Head; see `worker.serving.models`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import (
    HEAD_FILE,
    MODEL_FILE,
    OPENVINO_FILE,
    BackboneRef,
    Calibration,
    DatasetInfo,
    Metrics,
    ModelCard,
    Unknown,
)
from shared.models.registry import Registry
from worker.evaluation import evaluate
from worker.evaluation.measurements import Measurements
from worker.publishing.keras_archive import replace_last_layer
from worker.publishing.publish import TOLERANCE, Provenance, complete, make_card, sha256, staging
from worker.serving import openvino_runtime
from worker.serving.backbone import Backbone, network_file
from worker.serving.forward import PROBABILITIES
from worker.serving.head import Head

#: Pictures in a batch, and batches, for the latency; and pictures on which OpenVINO is compared with the Head.
BATCH_SIZE, REPEATS, SAMPLES = 8, 3, 4

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def publish_head(
    head: Head,
    backbone: Backbone,
    registry: Registry,
    provenance: Provenance,
    out: Path,
    *,
    metrics: Metrics | None = None,
    calibration: Calibration | None = None,
    unknown: Unknown | None = None,
    dataset: DatasetInfo | None = None,
) -> ModelCard:
    """Publish a Head as the folder `out`/<version>, and return its card. The folder is created atomically.

    `registry` has the files of the Backbone. Raises Conflict if the version exists.
    """
    shape = backbone.card.input

    def forward(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return head.probabilities(backbone.embed(pictures))

    with staging(out) as folder:
        replace_last_layer(
            registry.model_file(backbone.version), folder / MODEL_FILE, PROBABILITIES, head.weights, head.bias
        )
        head.save(folder)
        _export(network_file(registry, backbone.card), head, folder / OPENVINO_FILE)
        pictures = evaluate.noise((BATCH_SIZE, shape.height, shape.width, shape.channels))
        _check(folder / OPENVINO_FILE, forward, pictures[:SAMPLES])
        latency = evaluate.latency(forward, pictures, REPEATS, batch_size=BATCH_SIZE)
        measurements = Measurements(
            answers=np.zeros((0, 0)), latency=latency, metrics=metrics, calibration=calibration, unknown=unknown
        )
        reference = BackboneRef(
            version=backbone.version,
            openvino_sha256=sha256(network_file(registry, backbone.card)),
            head_sha256=sha256(folder / HEAD_FILE),
        )
        parameters = backbone.card.size.parameters + head.weights.size + head.bias.size - _last_layer(backbone.card)
        provenance = replace(provenance, backbone=reference, preprocessing=backbone.card.preprocessing)
        card = make_card(folder, shape, parameters, provenance, measurements, dataset=dataset)
        complete(folder, card, out)
    return card


def _last_layer(card: ModelCard) -> int:
    """Return the number of parameters of a Backbone's own last layer."""
    return ((card.embedding or 0) + 1) * len(card.labels)


def _export(backbone: Path, head: Head, file: Path) -> None:
    """Write the network of a Backbone with the Head as its last layer, for OpenVINO."""
    network = openvino_runtime.with_last_layer(openvino_runtime.read_network(backbone), head.weights, head.bias)
    openvino_runtime.write_network(network, file)


def _check(file: Path, forward: Network, pictures: NDArray[np.uint8]) -> None:
    """Raise ValueError if the exported network does not answer as the Head does."""
    difference = float(np.abs(openvino_runtime.load(file, 1)(pictures) - forward(pictures)).max())
    if not difference <= TOLERANCE:
        raise ValueError(f"OpenVINO's output differs from that of the head by {difference:.2g}")
