"""A Backbone in memory: pictures to Embeddings, and to the probabilities of its own labels, in one pass."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import ModelCard
from shared.domain.classifier import EVERYDAY
from shared.domain.errors import InvalidRequest, NotFound
from shared.models.registry import Registry
from worker import hardware
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import EMBEDDING, ModelUnusable
from worker.serving.network import LoadedNetwork


@dataclass(frozen=True)
class Backbone:
    """A pretrained network whose Embeddings Heads are trained on. `card.input` says what pictures it takes."""

    card: ModelCard
    network: LoadedNetwork

    @property
    def version(self) -> str:
        """Return the ModelVersion that the Backbone is."""
        return self.card.version

    @property
    def dimensions(self) -> int:
        """Return the length of an Embedding."""
        return self.card.embedding or 0

    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Return the Embeddings (n, dimensions) of pictures (n, height, width, 3). Thread-safe."""
        return self.network.run(pictures)[EMBEDDING].astype(np.float16)


def find_backbone(registry: Registry, name: str = EVERYDAY.name) -> ModelCard:
    """Return the card of a Backbone, by default of the one that ships. Raise ModelUnusable if it is not here."""
    try:
        return registry.backbone(name)
    except (NotFound, InvalidRequest) as error:
        raise ModelUnusable(str(error)) from error


class Backbones:
    """The Backbones of a process: each is loaded once, on first use. Thread-safe."""

    def __init__(self, registry: Registry, threads: int) -> None:
        """Create an empty cache. Each Backbone runs on `threads` cores."""
        self._registry, self._threads = registry, threads
        self._loaded: dict[str, Backbone] = {}
        self._lock = threading.Lock()

    def get(self, version: str) -> Backbone:
        """Return a Backbone; load it if necessary. Raise ModelUnusable, Unavailable."""
        with self._lock:
            if version not in self._loaded:
                self._loaded[version] = self.load(version)
            return self._loaded[version]

    def load(self, version: str) -> Backbone:
        """Return a Backbone that is not kept. Raise ModelUnusable, Unavailable."""
        try:
            card = self._registry.card(version)
            if card.embedding is None:
                raise ModelUnusable(f"version {version} is not a Backbone")
            return Backbone(card, self._network(card))
        except (NotFound, InvalidRequest) as error:
            raise ModelUnusable(f"the Backbone {version} is missing: {error}") from error

    def _network(self, card: ModelCard) -> LoadedNetwork:
        if not hardware.may_have_gpu():
            return openvino_runtime.load_network(network_file(self._registry, card), self._threads)
        return keras_runtime.load_backbone(self._registry.model_file(card.version), self._threads, card.preprocessing)


def network_file(registry: Registry, card: ModelCard) -> Path:
    """Return the path of a Backbone's network for OpenVINO. Raise ModelUnusable if it has none."""
    file = registry.openvino_file(card.version)
    if file is None:
        raise ModelUnusable(f"the Backbone {card.version} has no network for OpenVINO")
    return file
