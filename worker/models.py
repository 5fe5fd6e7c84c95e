"""Load a published model and run it: one compiled forward pass per batch."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.card import ModelCard
from shared.errors import DarkroomError, InvalidRequest, NotFound
from shared.registry import Registry

#: Models that a process holds at a time: the champion, and the one before it for jobs that began with it.
HELD = 2

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class ModelUnusable(DarkroomError):
    """A published model that cannot serve: its file is missing, damaged, or does not fit its card."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `forward` takes uint8 (n, height, width, 3) and gives float32 probabilities (n, labels)."""

    card: ModelCard
    forward: Forward


class Models:
    """The models that this process holds, loaded when first asked for."""

    def __init__(self, registry: Registry, threads: int) -> None:
        """`threads` is how many cores TensorFlow may use for one operation."""
        self._registry, self._threads = registry, threads
        self._held: OrderedDict[str, LoadedModel] = OrderedDict()

    @property
    def newest(self) -> str | None:
        """The version that was used last."""
        return next(reversed(self._held), None)

    def get(self, version: str) -> LoadedModel:
        """The model of a version. Raises ModelUnusable."""
        if version not in self._held:
            self._held[version] = self._load(version)
        self._held.move_to_end(version)
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        return self._held[version]

    def _load(self, version: str) -> LoadedModel:
        try:
            card, file = self._registry.card(version), self._registry.model_file(version)
        except (NotFound, InvalidRequest) as error:
            raise ModelUnusable(str(error)) from error
        if hashlib.sha256(file.read_bytes()).hexdigest() != card.file_sha256:
            raise ModelUnusable(f"the file of model {version} is damaged: its digest is not that of its card")
        model = LoadedModel(card, compiled(file, card, self._threads))
        _check(model)
        return model


def compiled(file: Path, card: ModelCard, threads: int) -> Forward:
    """The model's forward pass as one TensorFlow graph for any batch size. Raises ModelUnusable."""
    import keras  # noqa: PLC0415  # TensorFlow may be loaded only after the fork
    import tensorflow as tf  # noqa: PLC0415

    _set_threads(tf, threads)
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # beside Keras's own errors, whatever the readers of ZIP and HDF5 raise
        raise ModelUnusable(f"Keras cannot load model {card.version}: {error}") from error
    shape = [None, card.input.height, card.input.width, card.input.channels]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)], autograph=False)  # type: ignore[untyped-decorator]
    def graph(images: Any) -> Any:
        return tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = graph(tf.constant(images)).numpy()
        return answer

    return forward


def _check(model: LoadedModel) -> None:
    """Run one blank image: the graph is traced before the first job, and the answer must fit the card."""
    shape = model.card.input
    blank = np.zeros((1, shape.height, shape.width, shape.channels), np.uint8)
    try:
        answer = model.forward(blank)
    except Exception as error:  # Keras and TensorFlow have many words for a shape that does not fit
        raise ModelUnusable(
            f"model {model.card.version} takes no pictures of {shape.width} × {shape.height} pixels"
        ) from error
    if answer.shape != (1, len(model.card.labels)):
        raise ModelUnusable(
            f"model {model.card.version} answers {answer.shape[1:]} values for {len(model.card.labels)} labels"
        )


def _set_threads(tf: Any, threads: int) -> None:
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
