"""Run the front of a Keras model: everything before its first layers with weights. See `front`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from worker.importing.front import COLORS, Floats, Front, front_of

#: Stands for a value that depends on weights.
LEARNED = object()


def find_fronts(network: Any) -> list[Front | None]:
    """Return the front of each first layer with weights; None for one whose input is not a linear map of the color."""
    images = np.broadcast_to(COLORS[:, None, None, :], (len(COLORS), *network.inputs[0].shape[1:]))
    found: list[tuple[Any, Any]] = []
    _run(network, images.astype(np.float32), found)
    return [
        front_of(layer.name, np.asarray(keras.ops.convert_to_numpy(value), np.float64), _statistics(layer))
        for layer, value in found
    ]


def _statistics(layer: Any) -> tuple[Floats, Floats] | None:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return None
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in (layer.moving_mean, layer.moving_variance)
    )
    return mean, variance


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
