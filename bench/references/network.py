"""The small network that Darkroom's predecessor had, in Keras's own words.

python -m bench.references.network MODEL.h5

This writes it untrained: how fast it is does not depend on what it has learnt.
"""

from __future__ import annotations

import sys
from typing import Any

import keras


def network() -> Any:
    """Two convolutions, two dense layers; images of 32 × 32 as shares of 1."""
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
