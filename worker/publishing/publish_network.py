"""Publish a network for OpenVINO as a version that has no network for Keras: one imported from another format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shared.domain.card import OPENVINO_FILE, ModelCard
from worker import hardware
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.evaluation.measurements import Measurements, measure_served
from worker.publishing.publish import Provenance, complete_measured, staging
from worker.serving import openvino_runtime
from worker.serving.forward import Network

#: Pictures in a batch, and batches, for the latency: most imported networks take big pictures.
BATCH_SIZE, REPEATS = 8, 3


def publish_network(
    network: Any,
    provenance: Provenance,
    out: Path,
    dataset: Dataset | None = None,
    temperature: float | None = None,
    *,
    parameters: int,
) -> ModelCard:
    """Measure an `openvino.Model`, publish it as the folder `out`/<version>, and return its card.

    It maps uint8 RGB images (n, height, width, 3) to scores (n, labels). `temperature` is the divisor of its logits, if
    known. The folder is created atomically. Raises Conflict if the version exists.
    """
    _, height, width, channels = network.input(0).get_partial_shape()
    shape = height.get_length(), width.get_length(), channels.get_length()
    with staging(out) as folder:
        openvino_runtime.write_network(network, folder / OPENVINO_FILE)
        run = openvino_runtime.load(folder / OPENVINO_FILE, hardware.cores())
        measurements = measure_served(run, dataset, temperature, "one") if dataset else _speed(run, shape)
        return complete_measured(
            folder,
            out,
            provenance,
            measurements,
            shape=shape,
            parameters=parameters,
            dataset=dataset,
            network_file=OPENVINO_FILE,
        )


def _speed(run: Network, shape: tuple[int, int, int]) -> Measurements:
    noise = evaluate.noise((BATCH_SIZE, *shape))
    latency = evaluate.latency(run, noise, REPEATS, batch_size=BATCH_SIZE)
    return Measurements(answers=np.zeros((0, 0)), latency=latency)
