"""A model's forward pass as one compiled TensorFlow graph, which looks again at the images that it is not sure of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.card import ModelCard, Views
from shared.errors import DarkroomError
from worker.views import TINY, VIEWS, View

#: Thresholds below and above every confidence: one view of every image will do, or of none.
NONE, ALL = 0.0, 2.0

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class ModelUnusable(DarkroomError):
    """A published model that cannot serve: its file is missing, damaged, or does not fit its card."""


def compiled(file: Path, card: ModelCard, threads: int) -> Forward:
    """The forward pass of a published model, as its card says it is served. Raises ModelUnusable."""
    import keras  # noqa: PLC0415  # TensorFlow may be loaded only after the fork
    import tensorflow as tf  # noqa: PLC0415

    _set_threads(tf, threads)
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # beside Keras's own errors, whatever the readers of ZIP and HDF5 raise
        raise ModelUnusable(f"Keras cannot load model {card.version}: {error}") from error
    shape = card.input
    return served(model, (shape.height, shape.width, shape.channels), threshold(card.views))


def threshold(views: Views | None) -> float:
    """Below which confidence an image is looked at again, by what a card says of the views."""
    if views is None or views.served == 1:
        return NONE
    return ALL if views.served == 6 else views.threshold or NONE


def served(model: Any, shape: tuple[int, int, int], again_below: float = NONE) -> Forward:
    """The forward pass of a Keras model that gives probabilities, for any number of images of `shape`.

    Where the greatest probability is less than `again_below`, the answer is that of six views. An image's answer
    depends on no other image in the batch, but for the rounding of float32.
    """
    import tensorflow as tf  # noqa: PLC0415  # see above

    def network(images: Any) -> Any:
        return tf.cast(model(images, training=False), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.uint8)], autograph=False)  # type: ignore[untyped-decorator]
    def graph(images: Any) -> Any:
        pixels = tf.cast(images, tf.float32)
        first = network(pixels)
        return first if again_below <= NONE else _looked_again(tf, network, pixels, first, again_below)

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = graph(tf.constant(images)).numpy()
        return answer

    return forward


def _looked_again(tf: Any, network: Any, pixels: Any, first: Any, again_below: float) -> Any:
    """The answers `first`, with those that are not sure replaced by the mean over all views."""
    unsure = tf.where(tf.reduce_max(first, axis=1) < again_below)

    def replaced() -> Any:
        merged = _merged(tf, network, tf.gather_nd(pixels, unsure), tf.gather_nd(first, unsure))
        return tf.tensor_scatter_nd_update(first, unsure, merged)

    return tf.cond(tf.size(unsure) > 0, replaced, lambda: first)


def _merged(tf: Any, network: Any, pixels: Any, first: Any) -> Any:
    """The mean over all views, of which the first is known; that of the logarithms, as if logits were averaged.

    One view at a time: all at once are no faster, and take five times the memory where no image is sure.
    """
    padded = tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
    answers = [first, *(network(_seen(padded, view)) for view in VIEWS[1:])]
    logs = [view.weight * tf.math.log(tf.maximum(answer, TINY)) for view, answer in zip(VIEWS, answers, strict=True)]
    return tf.nn.softmax(tf.add_n(logs))


def _seen(padded: Any, view: View) -> Any:
    """A view of images that are padded by one pixel."""
    start, stop = 1 - view.shift, -1 - view.shift
    window = padded[:, start : stop or None, start : stop or None]
    return window[:, :, ::-1] if view.mirrored else window


def _set_threads(tf: Any, threads: int) -> None:
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
