"""The small network of the original application.

python -m bench.references.network MODEL.h5

Writes the network untrained: its speed does not depend on its weights.
"""

from __future__ import annotations

import sys
from typing import Any

import keras


def network() -> Any:
    """Return a network of two convolutions and two dense layers, for 32 × 32 RGB in [0, 1]."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    network().save(sys.argv[1])
