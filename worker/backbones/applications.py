"""The networks of `keras.applications` as Backbones, with the preprocessing that each was trained with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import applications, layers
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing, ValueRange
from worker.serving.forward import EMBEDDING, PROBABILITIES
from worker.serving.preprocess import preprocess

#: Side of the input, in pixels, of networks that take pictures of any size.
SIDE: Final = 224
#: Pixels to compare preprocessings on, RGB (1, 1, 4, 3): no two of PREPROCESSINGS give the same for them.
_PIXELS: Final = np.array([[[[0, 0, 0], [255, 255, 255], [10, 90, 200], [131, 7, 64]]]], np.float32)


@dataclass(frozen=True)
class Application:
    """A network from images to probabilities, whose layer EMBEDDING outputs `dimensions` values."""

    network: Any
    preprocessing: Preprocessing

    @property
    def dimensions(self) -> int:
        """Return the length of an Embedding."""
        dimensions: int = self.network.get_layer(EMBEDDING).output.shape[-1]
        return dimensions


def names() -> dict[str, str]:
    """Return the networks of `keras.applications`, by the lower-case name that their Backbone has."""
    return {name.lower(): name for name in dir(applications) if name[0].isupper()}


def load(name: str, weights: Path | None = None) -> Application:
    """Return a network by its lower-case name, with weights from a file, else with those that Keras downloads.

    Raise NotFound if there is no such network, InvalidRequest if the weights cannot be loaded.
    """
    if name not in names():
        raise NotFound(f"keras.applications has no network {name}; it has {', '.join(sorted(names()))}")
    build = getattr(applications, names()[name])
    try:
        network = build(weights=str(weights or "imagenet"))
        if None in network.input_shape[1:]:
            network = build(weights=str(weights or "imagenet"), input_shape=(SIDE, SIDE, 3))
    except Exception as error:  # Keras raises Exception if a download fails, and many types for a wrong file
        raise InvalidRequest(f"Keras cannot load the weights of {names()[name]}: {error}") from error
    return Application(adapted(network), PREPROCESSINGS[preprocessing_of(build)])


def adapted(network: Any) -> Any:
    """Return the same network with its last layer as PROBABILITIES, and what goes into that as EMBEDDING.

    That layer must be dense, or a convolution of one pixel. Raise InvalidRequest if it is not.
    """
    last = [layer for layer in network.layers if layer.weights][-1]
    if not isinstance(last, layers.Dense | layers.Conv2D) or len(last.weights) != 2:
        raise InvalidRequest(f"the last layer of {network.name} is not dense")
    kernel, bias = last.get_weights()
    before, end = last.input, _layer_of(network, last.input)
    while isinstance(end, layers.Dropout):
        before, end = end.input, _layer_of(network, end.input)
    if isinstance(end, layers.GlobalAveragePooling2D):
        x = layers.GlobalAveragePooling2D(name=EMBEDDING)(end.input)
    else:
        x = layers.Flatten(name=EMBEDDING)(before)
    if x.shape[-1] * len(bias) != kernel.size:
        raise InvalidRequest(f"the last layer of {network.name} is not dense")
    dense = layers.Dense(len(bias), activation="softmax", name=PROBABILITIES)
    model = keras.Model(network.inputs[0], dense(x), name=network.name)
    dense.set_weights([kernel.reshape(-1, len(bias)), bias])
    return model


def preprocessing_of(build: Any) -> ValueRange:
    """Return the preprocessing that does what `preprocess_input` beside the function that builds a network does.

    Raise InvalidRequest if none does.
    """
    wanted: NDArray[np.float32] = sys.modules[build.__module__].preprocess_input(_PIXELS.copy())
    for name, how in PREPROCESSINGS.items():
        if np.allclose(preprocess(_PIXELS, how), wanted, atol=1e-3):
            return name
    raise InvalidRequest(f"the preprocessing of {build.__name__} is not one that Darkroom knows")


def _layer_of(network: Any, tensor: Any) -> Any:
    """Return the layer whose output is a tensor, None if it is that of an operation."""
    return next((layer for layer in network.layers if layer.output is tensor), None)
