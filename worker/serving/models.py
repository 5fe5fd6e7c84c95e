"""Loading of published models: with OpenVINO if possible, with Keras on a GPU or if there is no OpenVINO file.

A version that is a Head on a Backbone is not loaded as a whole: its Backbone is in memory once, for all of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import BackboneRef, ModelCard
from shared.domain.errors import DarkroomError, InvalidRequest, NotFound
from shared.models.registry import Registry
from worker import hardware
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.backbone import Backbones
from worker.serving.forward import ModelUnusable, tta_threshold, with_tta
from worker.serving.head import Head
from worker.serving.lacks import Lacks
from worker.serving.locate import Locate, by_occlusion
from worker.serving.network import LoadedNetwork
from worker.serving.openvino_runtime import BATCH_SIZE

__all__ = ["LoadedModel", "ModelCache", "ModelUnusable", "memory_of"]

#: Memory of a model that OpenVINO runs: a fixed part, its weights as they are stored and as OpenVINO arranges them, and
#: what the layers put out, in bytes for each pixel of a batch.
FIXED_BYTES, WEIGHT_COPIES, PIXEL_BYTES = 14 * 1024 * 1024, 2, 190
#: Memory of a Head, at most.
HEAD_BYTES = 30 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities (n, labels), and the novelty of each picture (n,), 0 to 1, if the version can tell."""

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None = None


Answer = Callable[[NDArray[np.uint8]], Answers]


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `answer` maps uint8 images (n, height, width, 3) to Answers.

    `locate` says where it sees a label in one of them, without test-time augmentation.
    """

    card: ModelCard
    answer: Answer
    locate: Locate

    def forward(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 probabilities (n, labels)."""
        return self.answer(images).probabilities


def memory_of(card: ModelCard) -> int:
    """Return the bytes of memory that a version takes, estimated from its card; a Head without a shared Backbone."""
    head = HEAD_BYTES if card.backbone else 0
    if card.backbone and not card.is_own_backbone:
        return head
    batch = BATCH_SIZE * card.input.height * card.input.width
    return head + FIXED_BYTES + WEIGHT_COPIES * card.size.file_bytes + PIXEL_BYTES * batch


class ModelCache:
    """A thread-safe cache of models, loaded on first use. The least recently used go out if the budget is exceeded.

    Those that are kept do not. One model is held even if it is larger than the budget.
    """

    def __init__(self, registry: Registry, threads: int, budget: int = 0, lacks: Lacks | None = None) -> None:
        """Create an empty cache of `budget` bytes of models. Each model runs on `threads` cores.

        Versions that are unusable become `lacks`. `backbones` has those in memory, for callers that need Embeddings.
        """
        self._registry, self._threads, self.budget = registry, threads, budget
        self.backbones = Backbones(registry, threads)
        self.lacks = lacks or Lacks()
        self._models: OrderedDict[str, Future[LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()
        self._kept: frozenset[str] = frozenset()

    def keep(self, versions: Iterable[str]) -> None:
        """Never evict these versions, until the next call."""
        with self._lock:
            self._kept = frozenset(versions)

    def get(self, version: str) -> LoadedModel:
        """Return a version's model; wait if another thread is loading it. Raise ModelUnusable, Unavailable."""
        with self._lock:
            model = self._models.get(version)
            is_missing = model is None
            if model is None:
                model = self._models[version] = Future()
            self._models.move_to_end(version)
        if is_missing:
            self._resolve(model, version)
        return model.result()

    def _resolve(self, model: Future[LoadedModel], version: str) -> None:
        """Make room for the model and load it, without holding the lock, so that other versions can serve."""
        try:
            self._evict(version)
            model.set_result(self._load(version))
            self.lacks.remove(version)
        except BaseException as error:  # noqa: BLE001  # `get` raises it in each waiting thread
            with self._lock:
                if self._models.get(version) is model:
                    del self._models[version]
            if isinstance(error, ModelUnusable):
                self.lacks.add(version, str(error))
            model.set_exception(error)

    def _evict(self, wanted: str) -> None:
        """Drop the least recently used models until the others fit into the budget with the wanted one."""
        memory = {version: self._memory_of(version) for version in list(self._models)}
        with self._lock:
            for version in [each for each in self._models if each != wanted and each not in self._kept]:
                if sum(memory.values()) <= self.budget:
                    break
                del self._models[version]
                memory.pop(version, None)

    def _memory_of(self, version: str) -> int:
        try:
            return memory_of(self._registry.card(version))
        except DarkroomError:  # it cannot be loaded either
            return 0

    def _load(self, version: str) -> LoadedModel:
        try:
            card = self._registry.card(version)
            model = self._loaded(card)
        except (NotFound, InvalidRequest) as error:
            raise ModelUnusable(str(error)) from error
        _warm_up(model)
        return model

    def _loaded(self, card: ModelCard) -> LoadedModel:
        if card.backbone is not None:
            return self._head_on_backbone(card, card.backbone)
        network, independent = self._network(card), card.outputs == "independent"
        answer = with_tta(network.classify, tta_threshold(card.views))
        exact = network.locating(independent=independent)
        locate = exact or by_occlusion(network.classify, independent=independent)
        return LoadedModel(card, lambda images: Answers(answer(images)), locate)

    def _head_on_backbone(self, card: ModelCard, ref: BackboneRef) -> LoadedModel:
        backbone = self.backbones.load(ref.version) if card.is_own_backbone else self.backbones.get(ref.version)
        head = Head.load(self._registry.head_file(card.version))

        def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            return head.probabilities(backbone.embed(images))

        def answer(images: NDArray[np.uint8]) -> Answers:
            embeddings = backbone.embed(images)
            return Answers(head.probabilities(embeddings), head.novelty(embeddings))

        return LoadedModel(card, answer, backbone.network.locating(head.weights) or by_occlusion(classify))

    def _network(self, card: ModelCard) -> LoadedNetwork:
        if card.embedding is not None:
            return self.backbones.get(card.version).network
        exported = None if hardware.may_have_gpu() and card.has_keras else self._registry.openvino_file(card.version)
        if exported:
            return openvino_runtime.load_network(exported, self._threads)
        return keras_runtime.load_network(self._registry.model_file(card.version), self._threads, card.preprocessing)


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
