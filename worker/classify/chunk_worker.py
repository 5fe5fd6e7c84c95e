"""The unit of work on pictures: claim a chunk, classify or import it, commit it and wake a worker for the next one.

Jobs of one small picture, each a chunk, are claimed, classified and committed together.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from shared import logs
from shared.domain.entities import CLASSIFICATION_QUEUES, Chunk, Failure, ItemState, Queue
from shared.domain.errors import NotFound, StorageFull, Unavailable
from shared.jobs.chunks import CHUNK_ITEMS, ChunkStore
from shared.jobs.messenger import Messenger
from shared.jobs.metrics import JobMetrics
from shared.jobs.store import JobStore
from shared.jobs.workers import Workers
from worker.classify.classifier import Classifier
from worker.classify.pace import Pace
from worker.datasets.importer import PictureImporter
from worker.serving.models import ModelCache, ModelUnusable
from worker.serving.peers import Peers
from worker.timings import Timings

log = logging.getLogger(__name__)

#: Seconds to wait before the next claim, or another call of Redis, if the storage or Redis could not be reached.
RETRY_S = 1.0
#: Seconds after the claim until which a call of Redis is repeated: less than CLASSIFY_TIMEOUT_S. The heartbeat renews
#: the lease as soon as Redis can be reached.
GIVE_UP_S = 45.0
#: Items of a chunk at least, however slow the storage is: one for each thread that reads.
MIN_ITEMS = 16
#: Seconds that a chunk may take. The last chunks of a job end at different times; until then some processes are idle.
CHUNK_S = 1.5

T = TypeVar("T")


@dataclass
class ChunkWorker:
    """A worker of classification and import jobs.

    `queues` are those that the process consumes; `renewing` renews the leases of chunks, by id, while a block runs.
    """

    name: str
    queues: Sequence[Queue]
    chunks: ChunkStore
    jobs: JobStore
    messenger: Messenger
    metrics: JobMetrics
    models: ModelCache
    classifier: Classifier
    importer: PictureImporter
    renewing: Callable[[Collection[str]], AbstractContextManager[None]]
    workers: Workers
    #: Sends a heartbeat at once, for other workers that look for one that has a model.
    announce: Callable[[], object] = lambda: None
    #: Items of the next chunk at most: fewer after a slow one, and after the storage has failed: it may only be slow.
    max_items: int = CHUNK_ITEMS
    pace: Pace = field(default_factory=Pace)

    @property
    def classify_queues(self) -> list[Queue]:
        """Return the queues of classification jobs that the process consumes, in order of preference."""
        return [queue for queue in CLASSIFICATION_QUEUES if queue in self.queues]

    @property
    def _peers(self) -> Peers:
        return Peers(self.name, self.workers, self.models.lacks)

    def work(self) -> bool:
        """Process the next chunks. Return False if no job is waiting. Raise Unavailable without Redis."""
        timings = Timings()
        with timings.timing("claim"):
            excluded = self._peers.left_to_them(self.classify_queues)
            chunks = self.chunks.claim_together(
                self.name, self.classify_queues, max_items=self.max_items, except_models=excluded
            )
        if not chunks:
            return False
        if not self.process(chunks, timings):
            time.sleep(RETRY_S)
        self.wake_another_worker()
        return True

    def process(self, chunks: Sequence[Chunk], timings: Timings) -> bool:
        """Classify and commit chunks of the same model, or release their items to their jobs: none is lost.

        Return False if the storage or Redis could not be reached, since the next chunk would probably fail too.
        """
        left = {chunk.id: chunk for chunk in chunks}
        began = time.monotonic()
        give_up_at = began + GIVE_UP_S
        with self.renewing(left), logs.job_context(chunks[0].job_id, chunks[0].request_id, chunk_id=chunks[0].id):
            try:
                self._work_on(left, timings, give_up_at)
                items = sum(len(chunk.uploads) for chunk in chunks)
                self.max_items = next_size(self.max_items, items, time.monotonic() - began)
            except ModelUnusable as error:
                for chunk in left.values():
                    self._hand_back(chunk, error)
            except (Unavailable, StorageFull) as error:
                self.max_items = max(MIN_ITEMS, self.max_items // 4)
                self._release(left, logs.with_cause(error), give_up_at)
                return False
            except Exception:
                log.exception("an unexpected error while %d chunks were processed", len(left))
                self._release(left, "an unexpected error", give_up_at, died=True)
        return True

    def _work_on(self, left: dict[str, Chunk], timings: Timings, give_up_at: float) -> None:
        """Classify or import chunks and commit them; remove those from `left` that are done."""
        first = next(iter(left.values()))
        model = self.models.get(first.model)
        if first.dataset is not None:
            failed = self.importer.run(first, first.dataset, self.models.backbones.get(first.model), timings)
            self._report(first, failed, timings.report(self.metrics))
            return
        for classified in self.classifier.classify_together(list(left.values()), model, timings):
            with timings.timing("commit"):
                are_committed = _insist(partial(self.chunks.commit_all, classified), give_up_at)
            seconds = timings.report(self.metrics)
            for (chunk, outcomes), is_committed in zip(classified, are_committed, strict=True):
                del left[chunk.id]
                failed = sum(outcome.state is ItemState.FAILED for outcome in outcomes.values())
                self._report(chunk, failed if is_committed else None, seconds)

    def _report(self, chunk: Chunk, failed: int | None, seconds: Mapping[str, float]) -> None:
        """Log the end of a chunk with this number of failed items, or None if its lease was lost."""
        self.metrics.observe("wait", chunk.waited_s)
        with logs.job_context(chunk.job_id, chunk.request_id, chunk_id=chunk.id):
            if failed is None:
                log.warning("chunk %s of job %s was discarded: its lease was lost", chunk.id, chunk.job_id)
            else:
                self.pace.add(len(chunk.uploads))
                facts = {"items": len(chunk.uploads), "failed": failed, "wait_s": round(chunk.waited_s, 6), **seconds}
                log.info("chunk committed", extra=facts)

    def _release(self, left: Mapping[str, Chunk], reason: str, give_up_at: float, *, died: bool = False) -> None:
        for chunk in left.values():
            log.warning("chunk %s of job %s is released: %s", chunk.id, chunk.job_id, reason)
            _insist(partial(self.chunks.release, chunk.id, died=died), give_up_at)

    def _hand_back(self, chunk: Chunk, error: ModelUnusable) -> None:
        """Release a chunk whose model this worker cannot load; fail the job if no other live worker can load it."""
        self.announce()
        if self._is_loadable_elsewhere(chunk):
            log.warning("job %s is left to other workers: %s", chunk.job_id, error)
        else:
            log.error("job %s fails: %s", chunk.job_id, error)
            with suppress(NotFound):  # it was deleted in the meantime
                self.jobs.fail(chunk.job_id, Failure("model_unusable", str(error)))
        self.chunks.release(chunk.id)

    def _is_loadable_elsewhere(self, chunk: Chunk) -> bool:
        """Return whether another worker of the job's queue may have the model."""
        try:
            return self._peers.may_have(chunk.model, [self.jobs.queue_of(chunk.job_id)])
        except NotFound:
            return True  # nothing is left to fail

    def wake_another_worker(self) -> None:
        """Make sure that each queue with waiting jobs has a message: one chunk's end wakes a worker for the next."""
        for queue, jobs in self.chunks.backlog().items():
            if jobs and queue in self.queues and not self.messenger.message_count(queue):
                self.messenger.wake_workers(queue)


def next_size(limit: int, items: int, seconds: float) -> int:
    """Return the most items of the next chunk, after one of `items`, under this `limit`, that took `seconds`."""
    if seconds > CHUNK_S:
        return min(limit, max(MIN_ITEMS, int(items * CHUNK_S / seconds)))
    return limit if seconds > CHUNK_S / 2 else min(CHUNK_ITEMS, 2 * limit)


def _insist(call: Callable[[], T], give_up_at: float) -> T:
    """Return the result of a call of Redis; repeat it while Redis cannot be reached, until `give_up_at`.

    Raise Unavailable after that.
    """
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(RETRY_S)
