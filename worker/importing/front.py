"""What an imported network does with pixel values before its first layers with weights.

The network's front is run on images of one color, which no flipping, cropping or resizing changes. If it maps colors
linearly (scales, shifts, swaps or mixes channels, in whatever layers or operations), the map tells the range of values
that the network was built for. `keras_front` and `graphs.graph_front` run it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: Colors, as red, green and blue from 0 to 255: black and the three channels give the map, the others check it.
COLORS = np.array(
    [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (64, 128, 192), (17, 200, 99)], np.float32
)


@dataclass(frozen=True, eq=False)
class Front:
    """The first `layer` with weights, and its input for grey: `slope` × value + `start`, both (k,) for k channels.

    `statistics` are the mean and the variance (k,) that it remembers of its input if it is a batch normalization.
    """

    layer: str
    slope: Floats
    start: Floats
    statistics: tuple[Floats, Floats] | None = None

    def between(self, low: float, high: float) -> tuple[Floats, Floats]:
        """Return the layer's input for the values `low` and `high` of all channels, the smaller first."""
        ends = self.start + low * self.slope, self.start + high * self.slope
        return np.minimum(*ends), np.maximum(*ends)

    @property
    def is_unchanged(self) -> bool:
        """Return whether the layer gets the values as they are, perhaps in another order."""
        return bool(np.allclose(self.slope, 1) and np.allclose(self.start, 0))


def front_of(layer: str, values: Floats, statistics: tuple[Floats, Floats] | None = None) -> Front | None:
    """Return the front of a layer whose inputs for COLORS are `values`; None unless they are a linear map of them.

    `values` are (n, height, width, k), or flat ones (n, 3 m).
    """
    colors = _color_of(values)
    if colors is None or not np.isfinite(colors).all():
        return None
    start = colors[0]
    matrix = (colors[1:4] - start) / 255  # (3, k)
    size = max(1e-6, float(np.abs(colors).max()))
    if not np.allclose(COLORS @ matrix + start, colors, atol=2e-3 * size):
        return None
    return Front(layer, matrix.sum(axis=0), start, statistics)


def _color_of(values: Floats) -> Floats | None:
    """Return the color in the middle of each image, (n, k): of images (n, height, width, k), or flat ones (n, 3 m)."""
    if values.ndim == 4:
        return np.asarray(values[:, values.shape[1] // 2, values.shape[2] // 2])
    flat = values.reshape(len(values), -1)
    if flat.shape[1] % 3:
        return None
    return np.asarray(flat.reshape(len(values), -1, 3)[:, flat.shape[1] // 6])
