"""The formats that a network is exported to: how each is written, and read again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest
from shared.models.exports import ExportFormat
from worker.exporting.network import IMAGES, OUTPUTS, Run
from worker.serving import keras_runtime, openvino_runtime

#: Version of ONNX's operators: ONNX Runtime has them since 1.12, of 2022.
OPSET: Final = 17


@dataclass(frozen=True)
class Writer:
    """How a format is written. `file` is the name of the network's file that a program opens."""

    file: str
    write: Callable[[Any, Path], None]
    read: Callable[[Path], Run]


def write(model: Any, kind: ExportFormat, folder: Path) -> Run:
    """Write a Keras model that `as_served` made to a folder, and return what the written file answers.

    Raises InvalidRequest if the format cannot express the network.
    """
    writer = WRITERS[kind]
    try:
        writer.write(model, folder / writer.file)
        return writer.read(folder / writer.file)
    except Exception as error:  # TensorFlow, the converters and OpenVINO raise many types
        raise InvalidRequest(f"the network cannot be written as {kind}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return the line of a converter's message that says most, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "not support" in line or "TF Select ops:" in line]
    return (telling or lines or [type(error).__name__])[0][:300]


def _keras(model: Any, file: Path) -> None:
    model.save(file)


def _read_keras(file: Path) -> Run:
    model = keras.saving.load_model(file, compile=False, safe_mode=True)

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        return tuple(np.asarray(output) for output in tf.nest.flatten(model(images, training=False)))

    return run


def _frozen(model: Any) -> Any:
    """Return the model as one TensorFlow function of uint8 pictures, with constants for its weights."""

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.uint8, IMAGES)], autograph=False)  # type: ignore[untyped-decorator]
    def run(images: Any) -> Any:
        values = tf.nest.flatten(model(tf.cast(images, tf.float32), training=False))
        return [tf.cast(value, tf.float32) for value in values]

    return keras_runtime.frozen(run.get_concrete_function())


def _onnx(model: Any, file: Path) -> None:
    import onnx  # noqa: PLC0415  # only this format needs it
    import tf2onnx  # noqa: PLC0415

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    frozen = _frozen(model)
    outputs = [output.name for output in frozen.outputs]
    proto, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[f"{IMAGES}:0"],
        output_names=outputs,
        opset=OPSET,
        tensors_to_rename={f"{IMAGES}:0": IMAGES, **dict(zip(outputs, OUTPUTS, strict=False))},
    )
    onnx.checker.check_model(proto)  # tf2onnx passes on what ONNX lacks
    file.write_bytes(proto.SerializeToString())


def _litert(model: Any, file: Path) -> None:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(model)])
    file.write_bytes(converter.convert())


def _openvino(model: Any, file: Path) -> None:
    half = openvino_runtime.is_half(model.get_weights())
    openvino_runtime.save_frozen(_frozen(model), OUTPUTS[: len(model.outputs)], file, half=half)


WRITERS: Final = {
    ExportFormat.KERAS: Writer("model.keras", _keras, _read_keras),
    ExportFormat.ONNX: Writer("model.onnx", _onnx, openvino_runtime.load_file),
    ExportFormat.LITERT: Writer("model.tflite", _litert, openvino_runtime.load_file),
    ExportFormat.OPENVINO: Writer("model.xml", _openvino, openvino_runtime.load_file),
}
