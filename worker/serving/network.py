"""A network in memory, whichever runtime runs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.serving.forward import PROBABILITIES, Outputs
from worker.serving.locate import Features, Locate, by_activation


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network in memory: `run` has its outputs.

    If it ends in mean pooling and one dense layer, `features` are what is pooled, and `weights` (features, labels) are
    that layer's. Thread-safe.
    """

    run: Outputs
    features: Features | None = None
    weights: NDArray[np.float32] | None = None

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities (n, labels) of images (n, height, width, channels)."""
        return self.run(images)[PROBABILITIES]

    def locating(self, weights: NDArray[np.float32] | None = None, *, independent: bool = False) -> Locate | None:
        """Return the exact map of where it sees a label, with another last layer (features, labels) if given.

        None if its end does not allow that.
        """
        last = self.weights if weights is None else weights
        if self.features is None or last is None:
            return None
        return by_activation(self.features, last, independent=independent)
