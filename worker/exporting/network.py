"""The network of a version as it is served, in one piece: its only input is the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from shared.domain.card import ModelCard
from worker.serving import keras_runtime
from worker.serving.forward import ALWAYS, EMBEDDING, NEVER, PROBABILITIES, tta_threshold, with_tta
from worker.serving.head import Head
from worker.serving.preprocess import preprocess
from worker.serving.tta import TINY, VIEWS, View

#: The second output of a version that can tell: how unlike the training pictures a picture is, 0 to 1.
NOVELTY = "novelty"
#: Names of the outputs, in their order. The input's name is IMAGES.
OUTPUTS, IMAGES = (PROBABILITIES, NOVELTY), "images"

#: A function from uint8 images (n, height, width, 3) to the outputs in the order of OUTPUTS, for any n.
Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]


def as_served(network: Any, card: ModelCard, head: Head | None = None) -> Any:
    """Return a Keras model from pictures (n, height, width, 3), values from 0 to 255, to what the service answers.

    `network` is the one in the version's file. Preprocessing and views are in the model. With a `head` whose card has a
    rule for unknown pictures, it also gives the novelty.
    """
    images = keras.Input(network.input_shape[1:], name=IMAGES)
    scores = _with_views(lambda each: network(preprocess(each, card.preprocessing)), images, tta_threshold(card.views))
    if head is None or card.unknown is None or card.unknown.distance is None:
        return keras.Model(images, [scores])
    body = keras.Model(network.inputs[0], [*network.outputs, network.get_layer(EMBEDDING).output])
    scores, embedding = body(preprocess(images, card.preprocessing))
    return keras.Model(images, [scores, _novelty(embedding, head)])


def service(network: Any, card: ModelCard, head: Head | None = None) -> Run:
    """Return what the service answers, by its own functions."""
    if head is None:
        scores = with_tta(keras_runtime.compiled(network, card.preprocessing), tta_threshold(card.views))
        return lambda images: (scores(images),)
    graph = keras_runtime.graph(network, EMBEDDING, card.preprocessing)

    def answer(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        embeddings = graph(images)[EMBEDDING].numpy().astype(np.float16)
        return head.probabilities(embeddings), head.novelty(embeddings)

    return answer


def _with_views(network: Callable[[Any], Any], images: Any, below: float) -> Any:
    """Return the scores of the images; those whose best is less than `below` from six views. See `with_tta`."""
    first = network(images)
    if below <= NEVER:
        return first
    padded = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    scores = [first, *(network(_view(padded, view)) for view in VIEWS[1:])]
    logs = [view.weight * ops.log(ops.maximum(each, TINY)) for view, each in zip(VIEWS, scores, strict=True)]
    averaged = ops.softmax(sum(logs[1:], start=logs[0]))
    return averaged if below >= ALWAYS else ops.where(ops.max(first, axis=1, keepdims=True) < below, averaged, first)


def _view(padded: Any, view: View) -> Any:
    """Return a view of images that are padded by one pixel."""
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    start = 1 - view.shift
    window = padded[:, start : start + height, start : start + width]
    return ops.flip(window, axis=2) if view.mirrored else window


def _novelty(embedding: Any, head: Head) -> Any:
    """Return the cosine distance of each Embedding to the nearest of the head's references."""
    similarity = keras.layers.Dense(len(head.references), use_bias=False, name="references")
    nearest = ops.max(similarity(keras.layers.UnitNormalization()(embedding)), axis=1)
    similarity.set_weights([head.references.T])
    return ops.clip(1 - nearest, 0, 1)
