"""EfficientNet-Lite in Keras: the network whose pretrained weights are the Backbone.

Source: Tan and Le, "EfficientNet", ICML 2019 (arXiv:1905.11946); the Lite variants: tensorflow/tpu,
models/official/efficientnet/lite (no squeeze-and-excite, ReLU6, and the stem, the head and the first and last stage do
not scale).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from worker.serving.forward import EMBEDDING, PROBABILITIES

#: Channels of the stem, and of the last convolution, which are the dimensions of the Embedding.
STEM, DIMENSIONS = 32, 1280
#: Pixels are mapped to (x − CENTRE) / SCALE, about −1 to 1.
CENTRE, SCALE = 127.0, 128.0
#: Added to the variance in batch normalisation.
EPSILON = 1e-3

_NORM_PARTS: Final = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Stage:
    """Blocks with the same kernel and number of channels; only the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES: Final = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Variant:
    """A size of the network: factors for channels and blocks, and the side of its input in pixels."""

    width: float
    depth: float
    side: int


VARIANTS: Final = {"lite0": Variant(1.0, 1.0, 224), "lite2": Variant(1.1, 1.2, 260)}


def build(variant: Variant, labels: int) -> Any:
    """Return the network, without trained weights: (n, side, side, 3) with values 0 to 255 → probabilities (n, labels).

    Its layer EMBEDDING outputs (n, DIMENSIONS).
    """
    pixels = layers.Input((variant.side, variant.side, 3), name="pixels")
    x = layers.Rescaling(1 / SCALE, -CENTRE / SCALE, name="scaling")(pixels)
    x = _convolution(x, "stem", STEM, kernel=3, stride=2)
    for name, stage, stride in _blocks(variant):
        x = _block(x, name, stage, stride)
    x = _convolution(x, "head", DIMENSIONS)
    x = layers.GlobalAveragePooling2D(name=EMBEDDING)(x)
    x = layers.Dense(labels, activation="softmax", name=PROBABILITIES)(x)
    return keras.Model(pixels, x, name="efficientnet_lite")


def set_weights(model: Any, variant: Variant, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Give a network from `build` the weights of lukemelas' EfficientNet-PyTorch, by name. Raise KeyError if one lacks.

    Batch normalisation becomes part of the convolution before it. PyTorch's kernels are (out, in, height, width);
    Keras's are (height, width, in, out), or (height, width, channels, 1) if the convolution is depthwise.
    """
    for layer, convolution, norm in _sources(variant):
        weight, offset, mean, variance = (tensors[f"{norm}.{part}"] for part in _NORM_PARTS)
        factor = weight / np.sqrt(variance + EPSILON)
        kernel = tensors[f"{convolution}.weight"] * factor[:, None, None, None]
        order = (2, 3, 0, 1) if layer.endswith("depthwise") else (2, 3, 1, 0)
        model.get_layer(layer).set_weights([np.transpose(kernel, order), offset - mean * factor])
    model.get_layer(PROBABILITIES).set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])


def _blocks(variant: Variant) -> Iterator[tuple[str, Stage, int]]:
    """Yield the name, the scaled stage and the stride of each block."""
    number = 0
    for place, stage in enumerate(STAGES):
        is_edge = place in (0, len(STAGES) - 1)
        repeats = stage.repeats if is_edge else math.ceil(stage.repeats * variant.depth)
        channels = _rounded(stage.channels * variant.width)
        scaled = Stage(repeats, stage.kernel, stage.stride, stage.expansion, channels)
        for repeat in range(repeats):
            yield f"block{number}", scaled, stage.stride if repeat == 0 else 1
            number += 1


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8 that is at least 90 % of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _block(x: Any, name: str, stage: Stage, stride: int) -> Any:
    """Return the output of an inverted bottleneck: expand, depthwise convolution, project, and add the input."""
    entry, channels = x, x.shape[-1]
    if stage.expansion != 1:
        x = _convolution(x, f"{name}_expand", channels * stage.expansion)
    x = layers.DepthwiseConv2D(stage.kernel, stride, padding="same", name=f"{name}_depthwise")(x)
    x = layers.ReLU(6, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(stage.channels, 1, name=f"{name}_project")(x)
    if stride == 1 and channels == stage.channels:
        x = layers.Add(name=f"{name}_add")([entry, x])
    return x


def _convolution(x: Any, name: str, channels: int, kernel: int = 1, stride: int = 1) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", name=name)(x)
    return layers.ReLU(6, name=f"{name}_relu")(x)


def _sources(variant: Variant) -> Iterator[tuple[str, str, str]]:
    """Yield each convolution with the names of it and of its batch normalisation in EfficientNet-PyTorch."""
    yield "stem", "_conv_stem", "_bn0"
    for number, (name, stage, _) in enumerate(_blocks(variant)):
        source = f"_blocks.{number}"
        if stage.expansion != 1:
            yield f"{name}_expand", f"{source}._expand_conv", f"{source}._bn0"
        yield f"{name}_depthwise", f"{source}._depthwise_conv", f"{source}._bn1"
        yield f"{name}_project", f"{source}._project_conv", f"{source}._bn2"
    yield "head", "_conv_head", "_bn1"
