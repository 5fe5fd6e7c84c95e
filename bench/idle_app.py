"""Celery workers that do nothing with a chunk: they claim it, wait, and commit an answer for each of its pictures.

Everything else is that of a real worker: messages, leases, heartbeats, logs. `BENCH_CHUNK_S` is how long they wait,
`BENCH_CHUNK_ITEMS` how many pictures a chunk has at most.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from shared.domain.entities import Chunk, ItemState, Outcome, Prediction, Queue
from shared.services import Services
from worker.classify.classifier import Classified, Classifier
from worker.runtime import tasks
from worker.runtime.process import WorkerProcess
from worker.serving.models import LoadedModel, ModelCache
from worker.timings import Timings

#: An answer of the usual size.
ANSWER = Outcome(
    ItemState.SUCCEEDED,
    tuple(Prediction(index, score) for index, score in enumerate((0.912345, 0.034567, 0.023456, 0.012345, 0.006789))),
)


class NoModels(ModelCache):
    """A cache that loads nothing."""

    def get(self, _version: str) -> LoadedModel:
        """Return nothing, whatever the version."""
        return None  # type: ignore[return-value]  # nobody looks at it


class IdleClassifier(Classifier):
    """A classifier that reads no picture."""

    def classify_together(
        self, chunks: Sequence[Chunk], _model: LoadedModel, _timings: Timings
    ) -> Iterator[Classified]:
        """Wait, and yield ANSWER for each picture."""
        time.sleep(float(os.environ["BENCH_CHUNK_S"]))
        yield [(chunk, {upload.key: ANSWER for upload in chunk.uploads}) for chunk in chunks]


class IdleProcess(WorkerProcess):
    """A worker process that needs no model."""

    def __init__(self, services: Services, queues: Sequence[Queue]) -> None:
        super().__init__(services, queues)
        models = NoModels(services.registry, 1, services.settings.model_memory, self.lacks)
        idle = IdleClassifier(services.blobs, services.settings.max_pixels, self._pool)
        items = int(os.environ["BENCH_CHUNK_ITEMS"])
        self.chunks = replace(self.chunks, models=models, classifier=idle, max_items=items)

    def start(self) -> None:
        """Start the heartbeat only."""
        self.heartbeat.start()


tasks.WorkerProcess = IdleProcess  # type: ignore[attr-defined]  # the tasks build their process by this name

from worker.runtime.app import app  # noqa: E402  # with the process above

__all__ = ["app"]
