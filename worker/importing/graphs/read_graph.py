"""Read a network of another format with OpenVINO, which runs no code from the file.

An operation that OpenVINO does not know is refused by name, and so are a few that a network for images does not need:
those that could run for ever, keep a state, or give another answer each time.
"""

from __future__ import annotations

from typing import Any

from shared.domain.errors import InvalidRequest
from worker.importing.files.unpacked import Format, Unpacked
from worker.serving import openvino_runtime

#: OpenVINO's readers. None is left to find out the format by itself.
READERS: dict[Format, str] = {
    "onnx": "onnx",
    "tflite": "tflite",
    "savedmodel": "tf",
    "graph": "tf",
    "openvino": "ir",
}
#: What the formats are called.
NAMES: dict[Format, str] = {
    "onnx": "ONNX file",
    "tflite": "TFLite file",
    "savedmodel": "SavedModel",
    "graph": "TensorFlow graph",
    "openvino": "OpenVINO network",
}
#: Operations that are refused, and why.
DENIED = {
    **dict.fromkeys(("Loop", "TensorIterator", "If"), "repeats or skips parts of the network"),
    **dict.fromkeys(("ReadValue", "Assign"), "keeps a state from one picture to the next"),
    **dict.fromkeys(("RandomUniform", "Multinomial"), "is random"),
}
#: Lines of OpenVINO's errors that say where in its source they come from, and headings.
NOISE = (
    "Exception from",
    "Check '",
    "FrontEnd API failed",
    "Loading input model",
    "Model wasn't",
    "Summary:",
    "To facil",
)


def read_graph(unpacked: Unpacked) -> Any:
    """Return the `openvino.Model` in a file, with one input and one output. Raises InvalidRequest."""
    try:
        network = _convert(unpacked)
    except Exception as error:  # RuntimeError, and those of its parsers
        raise InvalidRequest(f"OpenVINO cannot read the {NAMES[unpacked.format]}: {_reason(error)}") from error
    _check_operations(network)
    return _with_one_output(network)


def _convert(unpacked: Unpacked) -> Any:
    openvino_runtime.library()
    from openvino.frontend import FrontEndManager  # noqa: PLC0415  # loaded only after the fork

    reader = FrontEndManager().load_by_framework(READERS[unpacked.format])
    graph = reader.load(str(unpacked.file))
    place = graph.get_place_by_tensor_name(unpacked.output) if unpacked.output else None
    if place is not None:
        graph.override_all_outputs([place])
    return reader.convert(graph)


def _reason(error: Exception) -> str:
    """Return the lines of OpenVINO's message that are about the file, at most 300 characters."""
    lines = (line.strip().removeprefix("-- ") for line in str(error).splitlines())
    kept = [line for line in lines if line and not line.startswith(NOISE)]
    return "; ".join(dict.fromkeys(kept))[:300] or type(error).__name__


def _check_operations(network: Any) -> None:
    for operation in network.get_ops():
        _check_name(operation)
        reason = DENIED.get(operation.get_type_name())
        if reason:
            raise InvalidRequest(
                f"the network has the operation {operation.get_type_name()}, which {reason}: export it without"
            )


def _check_name(operation: Any) -> None:
    try:
        operation.get_friendly_name()
    except UnicodeDecodeError as error:
        raise InvalidRequest("the name of an operation is not UTF-8: the file is damaged") from error


def _with_one_output(network: Any) -> Any:
    """Return the network with its only output that can be scores. Raises InvalidRequest unless there is one."""
    if len(network.inputs) != 1:
        raise InvalidRequest(f"the network has {len(network.inputs) or 'no'} inputs; it must have one")
    results = network.get_results()
    if len(results) > 1:
        results = [result for result in results if _can_be_scores(result)]
    if len(results) != 1:
        raise InvalidRequest(f"the network has {len(network.outputs) or 'no'} outputs; it must have one")
    from openvino import Model  # noqa: PLC0415  # loaded already

    return Model(results, network.get_parameters(), "imported")


def _can_be_scores(result: Any) -> bool:
    shape = result.output(0).get_partial_shape()
    is_number = result.output(0).get_element_type().is_real() or result.output(0).get_element_type().bitwidth == 8
    return bool(is_number and len(shape) >= 2 and shape[1].is_static and shape[1].get_length() > 1)
