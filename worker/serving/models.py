"""Loading of published models: with OpenVINO if possible, with Keras on a GPU or if there is no OpenVINO file."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from shared.domain.card import ModelCard
from shared.domain.errors import InvalidRequest, NotFound
from shared.models.registry import Registry
from worker import hardware
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import ModelUnusable, Network, tta_threshold, with_tta
from worker.serving.lacks import Lacks

__all__ = ["MAX_MODELS", "LoadedModel", "ModelCache", "ModelUnusable"]

#: Models in memory per process: the champion, and the last used one for jobs that were started with it.
MAX_MODELS = 2


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `forward` maps uint8 (n, height, width, 3) to float32 probabilities (n, labels)."""

    card: ModelCard
    forward: Network


class ModelCache:
    """A thread-safe cache of at most MAX_MODELS models, loaded on first use; it never evicts the champion."""

    def __init__(self, registry: Registry, threads: int, lacks: Lacks | None = None) -> None:
        """Create an empty cache. Each model runs on `threads` cores; versions that are unusable become `lacks`."""
        self._registry, self._threads = registry, threads
        self.lacks = lacks or Lacks()
        self._models: OrderedDict[str, Future[LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()
        self._champion: str | None = None

    @property
    def champion(self) -> str | None:
        """Return the version that was preloaded last, or None. It stays in the cache until another is preloaded."""
        return self._champion

    def preload(self, version: str) -> None:
        """Load the champion while other versions serve. Raise ModelUnusable, Unavailable."""
        self.get(version)
        self._champion = version

    def get(self, version: str) -> LoadedModel:
        """Return a version's model; wait if another thread is loading it. Raise ModelUnusable, Unavailable."""
        with self._lock:
            model = self._models.get(version)
            is_missing = model is None
            if model is None:
                model = self._models[version] = Future()
            self._models.move_to_end(version)
            self._evict()
        if is_missing:
            self._resolve(model, version)
        return model.result()

    def _resolve(self, model: Future[LoadedModel], version: str) -> None:
        """Load the model without holding the lock, so that other versions can serve."""
        try:
            model.set_result(self._load(version))
            self.lacks.remove(version)
        except BaseException as error:  # noqa: BLE001  # `get` raises it in each waiting thread
            with self._lock:
                if self._models.get(version) is model:
                    del self._models[version]
            if isinstance(error, ModelUnusable):
                self.lacks.add(version, str(error))
            model.set_exception(error)

    def _evict(self) -> None:
        while len(self._models) > MAX_MODELS:
            del self._models[next(version for version in self._models if version != self._champion)]

    def _load(self, version: str) -> LoadedModel:
        try:
            card = self._registry.card(version)
            network = self._network(card)
        except (NotFound, InvalidRequest) as error:
            raise ModelUnusable(str(error)) from error
        model = LoadedModel(card, with_tta(network, tta_threshold(card.views)))
        _warm_up(model)
        return model

    def _network(self, card: ModelCard) -> Network:
        exported = None if hardware.may_have_gpu() else self._registry.openvino_file(card.version)
        if exported:
            return openvino_runtime.load(exported, self._threads)
        return keras_runtime.load(self._registry.model_file(card.version), self._threads)


def _warm_up(model: LoadedModel) -> None:
    """Run the slow first pass on a blank image. Raise ModelUnusable if the output does not match the card."""
    shape = model.card.input
    blank = np.zeros((1, shape.height, shape.width, shape.channels), np.uint8)
    try:
        scores = model.forward(blank)
    except Exception as error:  # Keras and TensorFlow raise many types for a wrong shape
        raise ModelUnusable(
            f"model {model.card.version} does not accept images of {shape.width} × {shape.height} pixels"
        ) from error
    if scores.shape != (1, len(model.card.labels)):
        raise ModelUnusable(
            f"model {model.card.version} outputs {scores.shape[1:]} values for {len(model.card.labels)} labels"
        )
