"""Import a network of another format than Keras's: OpenVINO reads it, and serves it; there is no network for Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing, ValueRange, describe
from shared.models.import_queue import ModelImport
from worker.evaluation import evaluate
from worker.importing.check_labels import check_labels
from worker.importing.files.tflite_file import quantizations
from worker.importing.files.unpacked import Unpacked
from worker.importing.graphs.graph import NONE, Graph, graph_of, run_of, wrapped
from worker.importing.graphs.graph_front import fronts_of
from worker.importing.graphs.graph_scores import last_activation
from worker.importing.graphs.read_graph import read_graph
from worker.importing.input_range import InputRange, Measure, find_range
from worker.importing.labelled import Pictures, labelled_pictures
from worker.importing.provenance import cifar10_for, provenance_of, temperature_of
from worker.importing.scores import find_scores
from worker.publishing.publish_network import publish_network

#: Images of noise on which a network is tried.
TRIAL_IMAGES = 4
#: Ends of the values that a quantized input can have, at least and at most, for each range of pixels.
QUANTIZED: dict[ValueRange, tuple[tuple[float, float], tuple[float, float]]] = {
    "0-255": ((-1, 1), (200, 260)),
    "0-1": ((-0.01, 0.01), (0.8, 1.02)),
    "-1..1": ((-1.02, -0.8), (0.8, 1.02)),
}


def import_graph(unpacked: Unpacked, wanted: ModelImport, out: Path) -> ModelCard:
    """Publish the network as the folder `out`/<version>, and return its card.

    Raises InvalidRequest with the reason if the file is refused.
    """
    quantized = quantizations(unpacked.file) if unpacked.format == "tflite" else NONE
    graph = graph_of(read_graph(unpacked), quantized)
    labels = check_labels(graph.outputs, wanted.labels or unpacked.labels)
    dataset = cifar10_for(labels, (graph.height, graph.width, 3))
    pictures = labelled_pictures(labels, graph.height, graph.width, dataset)
    said = unpacked.stated or _from_quantization(graph)
    used = find_range(fronts_of(graph), wanted.preprocessing, said, pictures, _measure_on(graph, pictures))
    step = quantized.output.scale if quantized.output else 0.0
    scores = find_scores(last_activation(graph.network), try_graph(graph, used.preprocessing), labels, quantum=step)
    served = wrapped(graph, used.preprocessing, scores)
    provenance = provenance_of(unpacked, wanted, labels, used, scores)
    temperature = temperature_of(dataset, scores)
    return publish_network(served, provenance, out, dataset, temperature, parameters=graph.parameters)


def try_graph(graph: Graph, how: Preprocessing) -> NDArray[np.float32]:
    """Return the outputs for noise. Raises InvalidRequest if the network fails, or outputs NaN or infinity."""
    noise = evaluate.noise((TRIAL_IMAGES, graph.height, graph.width, 3))
    try:
        answers = run_of(wrapped(graph, how))(noise)
    except RuntimeError as error:
        raise InvalidRequest(f"the network fails on images of its own size: {str(error)[:300]}") from error
    if not np.isfinite(answers).all():
        raise InvalidRequest("the network's output contains NaN or infinity")
    return answers


def _from_quantization(graph: Graph) -> InputRange | None:
    """Return the range whose ends are those of a quantized input."""
    how = graph.quantized.input
    if how is None:
        return None
    low, high = ((end - how.zero) * how.scale for end in (how.low, how.high))
    for name, (lows, highs) in QUANTIZED.items():
        if lows[0] <= low <= lows[1] and highs[0] <= high <= highs[1]:
            note = (
                f"Pixel values: {describe(PREPROCESSINGS[name])}. The input is quantized for {low:.4g} to {high:.4g}."
            )
            return InputRange(PREPROCESSINGS[name], "quantization", note)
    return None


def _measure_on(graph: Graph, pictures: Pictures | None) -> Measure:
    """Return a function that returns whether the network is right about each of the pictures."""

    def measure(how: Preprocessing) -> NDArray[np.bool_]:
        if pictures is None:
            return np.zeros(0, np.bool_)
        return np.asarray(run_of(wrapped(graph, how))(pictures.x).argmax(axis=1) == pictures.y)

    return measure
