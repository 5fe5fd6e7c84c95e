"""Preprocessing, as the card of a version describes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.domain.preprocessing import Preprocessing


def preprocess(images: Any, how: Preprocessing) -> Any:
    """Return the input of a network for float32 RGB images (n, height, width, 3) with values from 0 to 255.

    `images` may be an array or a tensor of TensorFlow.
    """
    if how.scale != (1, 1, 1):
        images = images * np.asarray(how.scale, np.float32)
    if how.offset != (0, 0, 0):
        images = images + np.asarray(how.offset, np.float32)
    return images[..., ::-1] if how.channels == "BGR" else images


def preprocess_node(images: Any, how: Preprocessing) -> Any:
    """Return the same for `images` that are a float32 node in a graph of OpenVINO."""
    from openvino import opset13  # noqa: PLC0415  # loaded only after the fork, see `openvino_runtime`

    if how.scale != (1, 1, 1):
        images = opset13.multiply(images, np.asarray(how.scale, np.float32))
    if how.offset != (0, 0, 0):
        images = opset13.add(images, np.asarray(how.offset, np.float32))
    return opset13.gather(images, [2, 1, 0], 3) if how.channels == "BGR" else images
