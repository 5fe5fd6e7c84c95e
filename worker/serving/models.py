"""Load a published model: by OpenVINO where that can be, by Keras on a GPU and for what OpenVINO cannot run."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.domain.card import ModelCard
from shared.domain.errors import InvalidRequest, NotFound
from shared.models.registry import Registry
from worker import hardware
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import Forward, ModelUnusable, Network, tta_threshold, with_tta

__all__ = ["MAX_MODELS", "LoadedModel", "ModelCache", "ModelUnusable"]

#: Models that a process holds at a time: the champion, and the one that was used last, for jobs that began with it.
MAX_MODELS = 2


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `forward` takes uint8 (n, height, width, 3) and gives float32 probabilities (n, labels)."""

    card: ModelCard
    forward: Forward


class ModelCache:
    """The models that this process holds, loaded when first asked for, from whichever thread that is."""

    def __init__(self, registry: Registry, threads: int) -> None:
        """`threads` is how many cores one model may use."""
        self._registry, self._threads = registry, threads
        self._held: OrderedDict[str, Future[LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()
        self._champion: str | None = None

    @property
    def champion(self) -> str | None:
        """The version that was last preloaded; it is held until another one is."""
        return self._champion

    def preload(self, version: str) -> None:
        """Hold the version that serves new jobs, beside the work that goes on. Raises ModelUnusable, Unavailable."""
        self.get(version)
        self._champion = version

    def get(self, version: str) -> LoadedModel:
        """The model of a version; who asks while it is being loaded waits for it. Raises ModelUnusable, Unavailable."""
        with self._lock:
            place = self._held.get(version)
            missing = place is None
            if place is None:
                place = self._held[version] = Future()
            self._held.move_to_end(version)
            self._drop_oldest()
        if missing:
            self._fill(place, version)
        return place.result()

    def _fill(self, place: Future[LoadedModel], version: str) -> None:
        """Load without the lock: other versions serve meanwhile."""
        try:
            place.set_result(self._load(version))
        except BaseException as error:  # noqa: BLE001  # it is raised where the model was asked for
            with self._lock:
                if self._held.get(version) is place:
                    del self._held[version]
            place.set_exception(error)

    def _drop_oldest(self) -> None:
        while len(self._held) > MAX_MODELS:
            del self._held[next(version for version in self._held if version != self._champion)]

    def _load(self, version: str) -> LoadedModel:
        try:
            card = self._registry.card(version)
            network = self._network(card)
        except (NotFound, InvalidRequest) as error:
            raise ModelUnusable(str(error)) from error
        model = LoadedModel(card, with_tta(network, tta_threshold(card.views)))
        _check(model)
        return model

    def _network(self, card: ModelCard) -> Network:
        exported = None if hardware.may_have_gpu() else self._registry.openvino_file(card.version)
        if exported:
            return openvino_runtime.load(_undamaged(exported, card.openvino_sha256), self._threads)
        file = self._registry.model_file(card.version)
        return keras_runtime.load(_undamaged(file, card.file_sha256), self._threads)


def _undamaged(file: Path, sha256: str | None) -> Path:
    if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise ModelUnusable(f"{file.parent.name}/{file.name} is damaged: its digest is not that of its card")
    return file


def _check(model: LoadedModel) -> None:
    """Run one blank image: a first pass takes longer, so no job should have it; and the answer must fit the card."""
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
