"""A network of another format: from its only input, images in any layout and type, to its only output.

`wrapped` makes of it what Darkroom serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import Preprocessing
from worker.importing.files.tflite_file import Quantization, Quantizations
from worker.importing.graphs.graph_scores import with_scores
from worker.importing.scores import Scores
from worker.serving import openvino_runtime
from worker.serving.forward import PROBABILITIES
from worker.serving.preprocess import preprocess_node

#: Largest height and width in pixels: what the layers put out for a batch must fit into the memory for models.
MAX_SIDE = 320
#: Types of the values that an input may take.
TYPES = {"f16", "f32", "f64", "u8", "i8"}
#: Not quantized.
NONE = Quantizations(None, None)


@dataclass(frozen=True, eq=False)
class Graph:
    """An `openvino.Model` with one input for images (n, height, width, 3), or with `channels_first` (n, 3, …).

    Its output is (n, `outputs`). It takes any n, or only one image at a time.
    """

    network: Any
    height: int
    width: int
    channels_first: bool
    outputs: int
    quantized: Quantizations = NONE

    @property
    def parameters(self) -> int:
        """Return the number of weights: of values in constants that are no positions or sizes, nor single numbers."""
        constants = [each.output(0) for each in self.network.get_ops() if each.get_type_name() == "Constant"]
        counts = [int(np.prod(each.get_shape())) for each in constants if not _is_position(each.get_element_type())]
        return sum(count for count in counts if count > 1)


def _is_position(kind: Any) -> bool:
    return bool(kind.is_integral_number() and kind.bitwidth >= 32)


def graph_of(network: Any, quantized: Quantizations = NONE) -> Graph:
    """Return the network as a Graph. Raises InvalidRequest if the input is not images, or the output not a row each."""
    shape, outputs = _sizes(network.input(0)), _sizes(network.output(0))
    kind = network.input(0).get_element_type().to_string()
    sides = _sides(shape)
    if sides is None or kind not in TYPES:
        raise InvalidRequest(
            f"the network's input is {kind} of the shape {_text(shape)}; it must be RGB images of one size, "
            "(n, height, width, 3) or (n, 3, height, width)"
        )
    height, width, channels_first = sides
    if max(height, width) > MAX_SIDE:
        raise InvalidRequest(f"the network's input is {width} × {height} pixels; the limit is {MAX_SIDE} a side")
    if len(outputs) < 2 or outputs[1] is None or any(size != 1 for size in outputs[2:]):
        raise InvalidRequest(f"the network's output shape is {_text(outputs)}; it must be (n, labels), one per label")
    return Graph(_for_any_batch(network, outputs[1]), height, width, channels_first, outputs[1], quantized)


def _sizes(port: Any) -> tuple[int | None, ...]:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(size.get_length() if size.is_static else None for size in shape)


def _text(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in shape)})"


def _sides(shape: tuple[int | None, ...]) -> tuple[int, int, bool] | None:
    """Return height and width, and whether the channels come before them; None if these are not images of one size."""
    if len(shape) != 4:
        return None
    channels_first = shape[1] == 3 and shape[3] != 3
    height, width = shape[2:] if channels_first else shape[1:3]
    if height is None or width is None or (shape[3] != 3 and not channels_first):
        return None
    return height, width, channels_first


def _for_any_batch(network: Any, outputs: int) -> Any:
    """Return the network for any number of images if it can do that, else for one. Raises InvalidRequest."""
    for size in (-1, 1):
        copy = network.clone()
        shape = copy.input(0).get_partial_shape()
        shape[0] = size
        try:
            copy.reshape(shape)
            if _sizes(copy.output(0))[:2] == (None if size == -1 else 1, outputs) and _is_even(copy, size):
                return copy
        except RuntimeError:  # a shape inside is fixed
            continue
    raise InvalidRequest(f"the network takes {_text(_sizes(network.input(0))[:1])} images at a time; it must take one")


def _is_even(network: Any, size: int) -> bool:
    """Return whether images get the same answer together as alone. Raises RuntimeError if the network fails."""
    run = _compiled(network)
    shape = [2, *list(network.input(0).get_partial_shape())[1:]]
    noise = np.random.default_rng(0).integers(0, 100, [int(str(each)) for each in shape]).astype(_dtype(network))
    if size == 1:
        run(noise[:1])
        return True
    return bool(np.allclose(run(noise), np.concatenate([run(noise[:1]), run(noise[1:])]), rtol=1e-2, atol=1e-3))


def _dtype(network: Any) -> Any:
    return network.input(0).get_element_type().to_dtype()


def _compiled(network: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    compiled = openvino_runtime.library().Core().compile_model(network, "CPU", openvino_runtime.configuration(1))
    return lambda images: np.asarray(compiled([images])[0], np.float32)


def wrapped(graph: Graph, how: Preprocessing, scores: Scores | None = None) -> Any:
    """Return an `openvino.Model` from uint8 images (n, height, width, 3) to the output, or to scores of each label."""
    openvino_runtime.library()
    from openvino import Model, PartialShape, opset13  # noqa: PLC0415  # loaded only after the fork

    inner = graph.network.clone()
    (old,), (result,) = inner.get_parameters(), inner.get_results()
    size = old.get_partial_shape()[0]
    images = opset13.parameter(PartialShape([size, graph.height, graph.width, 3]), np.uint8, name="images")
    values = preprocess_node(opset13.convert(images, np.float32), how)
    if graph.quantized.input:
        values = _quantize(values, graph.quantized.input)
    if graph.channels_first:
        values = opset13.transpose(values, [0, 3, 1, 2])
    if old.get_element_type().to_string() != "f32":
        values = opset13.convert(values, old.get_element_type().to_dtype())
    old.output(0).replace(values.output(0))
    answers = _rows(result.input_value(0), graph)
    answers = with_scores(answers, scores) if scores else answers
    answers.get_tensor().set_names({PROBABILITIES})
    return Model([opset13.result(answers)], [images], "imported")


def _rows(answers: Any, graph: Graph) -> Any:
    """Return the output as numbers of the type float32, (n, outputs)."""
    from openvino import opset13  # noqa: PLC0415  # loaded already

    if answers.get_element_type().to_string() != "f32":
        answers = opset13.convert(answers, np.float32).output(0)
    if graph.quantized.output:
        answers = _dequantize(answers, graph.quantized.output).output(0)
    if len(answers.get_partial_shape()) != 2:
        answers = opset13.reshape(answers, [0, graph.outputs], special_zero=True).output(0)
    return answers


def run_of(network: Any) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function from uint8 images (n, height, width, 3) to the outputs of what `wrapped` made."""
    run = _compiled(network)
    if network.input(0).get_partial_shape()[0].is_dynamic:
        return run
    return lambda images: np.concatenate([run(images[place : place + 1]) for place in range(len(images))])


def _quantize(values: Any, how: Quantization) -> Any:
    from openvino import opset13  # noqa: PLC0415  # loaded already

    steps = opset13.round(opset13.divide(values, np.float32(how.scale)), "half_to_even")
    return opset13.clamp(opset13.add(steps, np.float32(how.zero)), how.low, how.high)


def _dequantize(values: Any, how: Quantization) -> Any:
    from openvino import opset13  # noqa: PLC0415  # loaded already

    return opset13.multiply(opset13.subtract(values, np.float32(how.zero)), np.float32(how.scale))
