"""What an imported network does with pixel values before its first layers with weights.

The network's front is run on images of one color, which no flipping, cropping or resizing changes. If it maps colors
linearly (scales, shifts, swaps or mixes channels, in whatever layers or operations), the map tells the range of values
that the network was built for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: Colors, as red, green and blue from 0 to 255: black and the three channels give the map, the others check it.
COLORS = np.array(
    [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (64, 128, 192), (17, 200, 99)], np.float32
)
#: Stands for a value that depends on weights.
LEARNED = object()


@dataclass(frozen=True, eq=False)
class Front:
    """The first `layer` with weights, and its input for grey: `slope` × value + `start`, both (k,) for k channels."""

    layer: Any
    slope: Floats
    start: Floats

    def between(self, low: float, high: float) -> tuple[Floats, Floats]:
        """Return the layer's input for the values `low` and `high` of all channels, the smaller first."""
        ends = self.start + low * self.slope, self.start + high * self.slope
        return np.minimum(*ends), np.maximum(*ends)

    @property
    def is_unchanged(self) -> bool:
        """Return whether the layer gets the values as they are, perhaps in another order."""
        return bool(np.allclose(self.slope, 1) and np.allclose(self.start, 0))


def find_fronts(network: Any) -> list[Front | None]:
    """Return the front of each first layer with weights; None for one whose input is not a linear map of the color."""
    images = np.broadcast_to(COLORS[:, None, None, :], (len(COLORS), *network.inputs[0].shape[1:]))
    found: list[tuple[Any, Any]] = []
    _run(network, images.astype(np.float32), found)
    return [_front(layer, np.asarray(keras.ops.convert_to_numpy(value), np.float64)) for layer, value in found]


def _run(model: Any, inputs: Any, found: list[tuple[Any, Any]]) -> Any:
    """Run a functional model up to layers with weights; append these, with their inputs, to `found`."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    return graph._run_through_graph(inputs, operation_fn=lambda operation: _call(operation, found))


def _call(operation: Any, found: list[tuple[Any, Any]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        values = keras.tree.flatten((args, kwargs))
        if any(value is LEARNED for value in values):
            return LEARNED
        if isinstance(operation, keras.Model):
            return _run(operation, keras.tree.flatten(args), found)
        if _has_weights(operation):
            found.append((operation, keras.tree.flatten(args)[0]))
            return LEARNED
        if "training" in inspect.signature(operation.call).parameters:
            kwargs["training"] = False
        return operation(*args, **kwargs)

    return call


def _has_weights(operation: Any) -> bool:
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, keras.layers.Normalization)


def _front(layer: Any, values: Floats) -> Front | None:
    """Return the map of colors to the layer's input; None unless it is linear."""
    colors = _color_of(values)
    if colors is None or not np.isfinite(colors).all():
        return None
    start = colors[0]
    matrix = (colors[1:4] - start) / 255  # (3, k)
    size = max(1e-6, float(np.abs(colors).max()))
    if not np.allclose(COLORS @ matrix + start, colors, atol=2e-3 * size):
        return None
    return Front(layer, matrix.sum(axis=0), start)


def _color_of(values: Floats) -> Floats | None:
    """Return the color in the middle of each image, (n, k): of images (n, height, width, k), or flat ones (n, 3 m)."""
    if values.ndim == 4:
        return np.asarray(values[:, values.shape[1] // 2, values.shape[2] // 2])
    flat = values.reshape(len(values), -1)
    if flat.shape[1] % 3:
        return None
    return np.asarray(flat.reshape(len(values), -1, 3)[:, flat.shape[1] // 6])
