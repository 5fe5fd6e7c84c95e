"""Run the front of a graph of OpenVINO: what is before its first layers with weights. See `worker.importing.front`."""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.importing.front import COLORS, Floats, Front, front_of
from worker.importing.graphs.graph import Graph
from worker.serving import openvino_runtime

#: Operations with weights.
WITH_WEIGHTS = {"Convolution", "ConvolutionBackpropData", "GroupConvolution", "GroupConvolutionBackpropData", "MatMul"}


def fronts_of(graph: Graph) -> list[Front | None]:
    """Return the front of each first layer with weights; None for one whose input is not a linear map of the color.

    Returns none if the input is quantized, which says more.
    """
    if graph.quantized.input:
        return []
    network = graph.network.clone()
    try:
        layers = _first_layers(network)
        return [
            front_of(layer.get_friendly_name(), _images(values, graph))
            for layer, values in zip(layers, _inputs(network, layers, graph), strict=True)
        ]
    except RuntimeError:  # `try_graph` reports a network that does not run
        return []


def _first_layers(network: Any) -> list[Any]:
    """Return the operations with weights whose input does not depend on those of others."""
    first, learned, reached = [], set[str](), {network.get_parameters()[0].get_friendly_name()}
    for node in network.get_ordered_ops():
        sources = {value.get_node().get_friendly_name() for value in node.input_values()}
        name = node.get_friendly_name()
        if sources & learned:
            learned.add(name)
        elif sources & reached:
            if node.get_type_name() in WITH_WEIGHTS:
                first.append(node)
                learned.add(name)
            else:
                reached.add(name)
    return first


def _inputs(network: Any, layers: list[Any], graph: Graph) -> list[Floats]:
    """Return the values (7, …) that each layer gets for images of COLORS."""
    library = openvino_runtime.library()
    from openvino import Model, opset13  # noqa: PLC0415  # loaded already

    results = [opset13.result(layer.input_value(0)) for layer in layers]
    front = Model(results, network.get_parameters(), "front")
    run = library.Core().compile_model(front, "CPU", openvino_runtime.configuration(1))
    answers = [run([_color(color, graph)]) for color in COLORS]
    return [np.concatenate([np.array(answer[place]) for answer in answers]) for place in range(len(layers))]


def _color(color: Floats, graph: Graph) -> Any:
    image = np.broadcast_to(color, (1, graph.height, graph.width, 3))
    image = image.transpose(0, 3, 1, 2) if graph.channels_first else image
    return np.ascontiguousarray(image, graph.network.input(0).get_element_type().to_dtype())


def _images(values: Floats, graph: Graph) -> Floats:
    """Return the values with the channels last: OpenVINO's convolutions have them first, and so have flattened ones."""
    values = np.asarray(values, np.float64)
    if values.ndim == 4:
        return values.transpose(0, 2, 3, 1)
    if graph.channels_first and values[0].size % 3 == 0:
        return values.reshape(len(values), 3, -1).transpose(0, 2, 1).reshape(len(values), -1)
    return values
