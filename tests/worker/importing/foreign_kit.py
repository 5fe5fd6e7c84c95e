"""A small network of Keras as TFLite and as a SavedModel, and the answers of TFLite's interpreter."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tensorflow.lite.python import schema_py_generated as schema

from tests.worker.importing.onnx_kit import LABELS, PICTURES, SIDE


def small_network(*front: keras.Layer, activation: str | None = "softmax") -> keras.Model:
    """Return a network for values from 0 to 1 after `front`, with answers that differ from picture to picture."""
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            *front,
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, activation="relu6"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(LABELS), activation=activation, kernel_initializer=keras.initializers.RandomNormal(0, 2)),
        ]
    )


def tflite_bytes(network: keras.Model, kind: str = "float") -> bytes:
    """Return a network as TFLite: float, or with inputs and outputs of the type int8 or uint8."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of statistics that the samples give
        return bytes(converter.convert())


def _samples() -> Iterator[list[np.ndarray]]:
    yield [np.ones((1, SIDE, SIDE, 3), np.float32)]
    for picture in PICTURES:
        yield [picture[None] / np.float32(255)]


def tflite_answers(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """Return what TFLite's own interpreter answers to real values (n, height, width, 3), dequantized."""
    interpreter = Interpreter(model_content=content)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    answers = []
    for values in inputs.astype(np.float32):
        interpreter.set_tensor(taken["index"], _quantized(values, taken)[None])
        interpreter.invoke()
        scale, zero = given["quantization"]
        answer = interpreter.get_tensor(given["index"])[0].astype(np.float32)
        answers.append((answer - zero) * scale if scale else answer)
    return np.stack(answers)


def _quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    if not scale:
        return values
    ends = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero, ends.min, ends.max).astype(details["dtype"])


def exported(network: keras.Model, folder: Path) -> Path:
    """Export a network as a SavedModel; return the folder."""
    network.export(folder, verbose=False)
    return folder


def with_metadata(content: bytes, mean: tuple[float, ...], deviation: tuple[float, ...]) -> bytes:
    """Return a TFLite file whose metadata has the normalization and the labels, as TensorFlow's tools write it."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    buffer = schema.BufferT()
    buffer.data = list(_metadata(mean, deviation))
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("labels.txt", "\n".join(LABELS))
    return bytes(builder.Output()) + archive.getvalue()


def _metadata(mean: tuple[float, ...], deviation: tuple[float, ...]) -> bytes:
    """Return metadata: a graph, its input with a step that normalizes, and its output with a file of labels."""
    builder = flatbuffers.Builder(0)
    steps = _table(builder, {0: _floats(builder, mean), 1: _floats(builder, deviation)})
    step = _table(builder, {1: steps}, {0: 1})
    file = _table(builder, {0: builder.CreateString("labels.txt")}, {2: 2})
    taken = _table(builder, {4: _tables(builder, step)})
    given = _table(builder, {6: _tables(builder, file)})
    graph = _table(builder, {2: _tables(builder, taken), 3: _tables(builder, given)})
    builder.Finish(_table(builder, {3: _tables(builder, graph)}), b"M001")
    return bytes(builder.Output())


def _table(builder: Any, offsets: dict[int, int], kinds: dict[int, int] | None = None) -> int:
    builder.StartObject(8)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, kind in (kinds or {}).items():
        builder.PrependUint8Slot(field, kind, 0)
    return int(builder.EndObject())


def _floats(builder: Any, numbers: tuple[float, ...]) -> int:
    return int(builder.CreateNumpyVector(np.array(numbers, np.float32)))


def _tables(builder: Any, table: int) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
