"""Networks in ONNX, what ONNX Runtime answers, and archives; without TensorFlow."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

LABELS = ("apple", "banana", "cherry", "date")
SIDE = 24
#: Five images of noise, of different brightness.
PICTURES = np.stack([np.random.default_rng(n).integers(0, 60 + 48 * n, (SIDE, SIDE, 3), np.uint8) for n in range(5)])


def onnx_model(
    *after: Any, before: Any = (), batch: int | str = "n", outputs: Any = None, properties: Any = None
) -> onnx.ModelProto:
    """Return a network as PyTorch exports it, (n, 3, height, width) to logits, with nodes before and after that.

    The nodes `before` end with `front`.
    """
    noise = np.random.default_rng(2)
    weights = {
        "kernel": noise.normal(0, 0.3, (8, 3, 3, 3)),
        "matrix": noise.normal(0, 3, (8, len(LABELS))),
        "bias": noise.normal(0, 0.1, len(LABELS)),
    }
    nodes = [
        *before,
        helper.make_node("Conv", ["front" if before else "images", "kernel"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "matrix", "bias"], ["logits"]),
        *after,
    ]
    last = after[-1].output[0] if after else "logits"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        outputs or [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, len(LABELS)])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)])
    model.ir_version = 8
    helper.set_model_props(model, properties or {})
    return model


def onnx_answers(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime answers to values (n, 3, height, width), one at a time."""
    session = onnxruntime.InferenceSession(content)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: values[None].astype(np.float32)})[0] for values in inputs])


def openvino_files(model: onnx.ModelProto, folder: Path) -> Path:
    """Save a network in OpenVINO's format; return the folder with `network.xml` and `network.bin`."""
    folder.mkdir()
    network = openvino.Core().read_model(model.SerializeToString())
    openvino.save_model(network, folder / "network.xml", compress_to_fp16=False)
    return folder


def zipped(file: Path, members: dict[str, bytes | str]) -> Path:
    """Write an archive; return its path."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def members_of(folder: Path, prefix: str = "") -> dict[str, bytes | str]:
    """Return the files in a folder, with their names for an archive."""
    return {
        f"{prefix}{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (n, labels)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def changed(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], None]) -> bytes:
    """Return the bytes of a changed copy."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy)
    return copy.SerializeToString()
