"""Adapt any image network to what Darkroom serves: from its preprocessed input to one score for each label.

The network itself is not changed; what is missing after it is added. An error says what was found and what is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import Preprocessing
from worker.evaluation import evaluate
from worker.importing.check_labels import check_labels
from worker.importing.keras_scores import with_scores
from worker.importing.model_file import first_line
from worker.importing.scores import Scores
from worker.serving.preprocess import preprocess

#: Largest height and width in pixels: the activations of a batch of 256 images must fit into memory.
MAX_SIDE = 256
#: Images of noise on which a network is tried.
TRIAL_IMAGES = 8


def check_shapes(network: Any, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Return the given labels, or CIFAR-10's if none are given and the network has ten outputs.

    Raises InvalidRequest unless the network's input is RGB images of one size, and its output one value per label, or
    one value for two labels.
    """
    shape, outputs = _only_shape(network.inputs, "input"), _only_shape(network.outputs, "output")
    if len(shape) != 4 or shape[0] is not None or None in shape[1:] or shape[3] != 3:
        raise InvalidRequest(
            f"the network's input shape is {shape}; it must be (None, height, width, 3), RGB images of one size"
        )
    if any(side is None or side > MAX_SIDE for side in shape[1:3]):
        raise InvalidRequest(f"the network's input is {shape[2]} × {shape[1]} pixels; the limit is {MAX_SIDE} a side")
    if len(outputs) != 2 or outputs[1] is None:
        raise InvalidRequest(f"the network's output shape is {outputs}; it must be (None, labels), one per label")
    return check_labels(outputs[1], labels)


def try_network(network: Any, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the network's outputs for noise. Raises InvalidRequest if it fails, or outputs NaN or infinity."""
    noise = evaluate.noise((TRIAL_IMAGES, *network.inputs[0].shape[1:])).astype(np.float32)
    images = preprocess(noise, preprocessing)
    try:
        answers = np.asarray(keras.ops.convert_to_numpy(network(images, training=False)), np.float32)
    except Exception as error:  # Keras and TensorFlow raise many types
        raise InvalidRequest(f"the network fails on images of its own size: {first_line(error)}") from error
    if not np.isfinite(answers).all():
        raise InvalidRequest("the network's output contains NaN or infinity")
    return answers


def adapt_model(network: Any, scores: Scores) -> Any:
    """Return the network as Darkroom serves it."""
    inputs = keras.Input(network.inputs[0].shape[1:], name="images")
    return keras.Model(inputs, with_scores(network(inputs), scores), name="imported")


def _only_shape(tensors: Any, what: str) -> tuple[int | None, ...]:
    """Return the shape of the only input or output."""
    count = len(tensors or ())
    if count != 1:
        raise InvalidRequest(f"the network has {count or 'no known'} {what}s; it must have one")
    return tuple(tensors[0].shape)
