"""The unit of classification work: claim a chunk, classify it, commit it and wake a worker for the next one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from shared import logs
from shared.domain.entities import CLASSIFICATION_QUEUES, Chunk, Failure, ItemState, Outcome, Queue
from shared.domain.errors import DarkroomError, NotFound, Unavailable
from shared.jobs.chunks import ChunkStore
from shared.jobs.messenger import Messenger
from shared.jobs.metrics import JobMetrics
from shared.jobs.store import JobStore
from worker.classify.classifier import Classifier
from worker.classify.timings import Timings
from worker.serving.models import ModelCache, ModelUnusable

log = logging.getLogger(__name__)

#: Seconds to wait before the next claim if the storage or Redis could not be reached.
RETRY_S = 1.0


@dataclass(frozen=True)
class ChunkWorker:
    """A worker of classification jobs.

    `queues` are those that the process consumes; `renewing` renews the lease of a chunk, by its id, while a block runs.
    """

    name: str
    queues: Sequence[Queue]
    chunks: ChunkStore
    jobs: JobStore
    messenger: Messenger
    metrics: JobMetrics
    models: ModelCache
    classifier: Classifier
    renewing: Callable[[str], AbstractContextManager[None]]

    @property
    def classify_queues(self) -> list[Queue]:
        """Return the queues of classification jobs that the process consumes, in order of preference."""
        return [queue for queue in CLASSIFICATION_QUEUES if queue in self.queues]

    def work(self) -> bool:
        """Process one chunk. Return False if no job is waiting. Raise Unavailable without Redis."""
        timings = Timings()
        with timings.timing("claim"):
            chunk = self.chunks.claim(self.name, self.classify_queues)
        if chunk is None:
            return False
        timings.add("wait", chunk.waited_s)
        with self.renewing(chunk.id), logs.job_context(chunk.job_id, chunk.request_id, chunk_id=chunk.id):
            is_processed = self.process(chunk, timings)
        if not is_processed:
            time.sleep(RETRY_S)
        self._wake_another_worker()
        return True

    def process(self, chunk: Chunk, timings: Timings) -> bool:
        """Classify and commit the chunk, or release its items to the job: none is lost.

        Return False if the storage or Redis could not be reached, since the next chunk would probably fail too.
        """
        try:
            if chunk.model is None:
                raise LookupError(f"job {chunk.job_id} names no model version")
            outcomes = self.classifier.classify(chunk, self.models.get(chunk.model), timings)
            with timings.timing("commit"):
                is_committed = self.chunks.commit(chunk, outcomes)
            if is_committed:
                self._report(outcomes, timings)
            else:
                log.warning("chunk %s of job %s was discarded: its lease was lost", chunk.id, chunk.job_id)
        except ModelUnusable as error:
            log.error("job %s fails: %s", chunk.job_id, error)
            self._fail_job(chunk, error)
        except Unavailable as error:
            log.warning("chunk %s of job %s is released: %s", chunk.id, chunk.job_id, logs.with_cause(error))
            self.chunks.release(chunk.id)
            return False
        except Exception:
            log.exception("chunk %s of job %s is released after an unexpected error", chunk.id, chunk.job_id)
            self.chunks.release(chunk.id, died=True)
        return True

    def _report(self, outcomes: Mapping[str, Outcome], timings: Timings) -> None:
        failed = sum(outcome.state is ItemState.FAILED for outcome in outcomes.values())
        facts = {"items": len(outcomes), "failed": failed, **timings.report(self.metrics)}
        log.info("chunk committed", extra=facts)

    def _fail_job(self, chunk: Chunk, error: DarkroomError) -> None:
        try:
            self.jobs.fail(chunk.job_id, Failure("model_unusable", str(error)))
        except NotFound:
            log.info("job %s was deleted in the meantime", chunk.job_id)
        self.chunks.release(chunk.id)

    def _wake_another_worker(self) -> None:
        """Make sure that each queue with waiting jobs has a message: one chunk's end wakes a worker for the next."""
        for queue, jobs in self.chunks.backlog().items():
            if jobs and queue in self.queues and not self.messenger.message_count(queue):
                self.messenger.wake_workers(queue)
