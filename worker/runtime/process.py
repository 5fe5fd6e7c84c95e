"""One worker process: what it holds from its start to its end, and one turn of its work."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from shared import logs
from shared.domain.entities import Chunk, Failure, ItemState, Outcome, Queue
from shared.domain.errors import DarkroomError, NotFound, Unavailable
from shared.jobs.workers import Worker
from shared.services import Services
from worker.classify.classifier import Classifier
from worker.classify.timings import Timings
from worker.runtime.broker_watchdog import BrokerWatchdog
from worker.runtime.heartbeat import Heartbeat
from worker.serving.champion_watch import ChampionWatcher
from worker.serving.models import ModelCache, ModelUnusable

log = logging.getLogger(__name__)

#: Seconds until a worker that could not read or commit claims the next chunk.
RETRY_S = 1.0
#: Threads that read and decode where each picture has to come from S3; from a disk, as many as there are cores for.
REMOTE_READERS = 16


class WorkerProcess:
    """Holds the model, the decoding threads and the heartbeat of one process, made after the fork."""

    def __init__(self, services: Services, queues: list[Queue]) -> None:
        self.services, self.queues = services, queues
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        threads = threads_per_process(services.settings.classify_workers if Queue.BULK in queues else 1)
        self.models = ModelCache(services.registry, threads)
        readers = REMOTE_READERS if services.blobs.is_remote else threads
        self.classifier = Classifier(services, ThreadPoolExecutor(readers, thread_name_prefix="decode"))
        self.watchdog = BrokerWatchdog(services.messenger, queues)
        self.heartbeat = Heartbeat(services.workers, services.chunks, self.describe, self._beat)
        self.watch = ChampionWatcher(services.registry, self.models, self._send_heartbeat)

    @property
    def classify_queues(self) -> list[Queue]:
        """The classify_queues of jobs that this process serves, in the order of preference."""
        return [queue for queue in (Queue.INTERACTIVE, Queue.BULK) if queue in self.queues]

    def start(self) -> None:
        """Load the champion, then say that this worker is there, also where the champion cannot be loaded yet."""
        if self.classify_queues:
            self.watch.start()
        self.heartbeat.start()

    def stop(self) -> None:
        """End the heartbeat and the threads."""
        self.watch.stop()
        self.heartbeat.stop()
        with contextlib.suppress(Unavailable):
            self.services.meters.flush()
        self.classifier.pool.shutdown(cancel_futures=True)

    def describe(self) -> Worker:
        """What this worker is at the moment."""
        return Worker(self.name, tuple(self.queues), self.models.champion)

    def _beat(self) -> None:
        self.services.meters.flush()
        self.watchdog.check()

    def _send_heartbeat(self) -> None:
        """At once, not with the next beat: whoever has promoted a version waits for it."""
        self.services.workers.record_heartbeat(self.describe())

    def work(self) -> bool:
        """Claim one chunk and bring it to its end; False where nothing waits."""
        timings = Timings()
        with timings.timing("claim"):
            chunk = self.services.chunks.claim(self.name, self.classify_queues)
        if chunk is None:
            return False
        timings.add("wait", chunk.waited_s)
        with self.heartbeat.renewing(chunk.id), logs.job_context(chunk.job_id, chunk.request_id, chunk_id=chunk.id):
            had_all = self._finish(chunk, timings)
        if not had_all:
            time.sleep(RETRY_S)
        self._wake_another_worker()
        return True

    def _finish(self, chunk: Chunk, timings: Timings) -> bool:
        """Commit the chunk. Where that cannot be, its items go back to the job, and none is lost.

        False where the storage or Redis could not be reached: the next chunk is likely to end the same way.
        """
        try:
            outcomes = self.classifier.classify(chunk, self.models.get(chunk.model), timings)
            with timings.timing("commit"):
                committed = self.services.chunks.commit(chunk, outcomes)
            if committed:
                self._report(outcomes, timings)
            else:
                log.warning("chunk %s of job %s was taken over by another worker", chunk.id, chunk.job_id)
        except ModelUnusable as error:
            log.error("job %s fails: %s", chunk.job_id, error)
            self._fail_job(chunk, error)
        except Unavailable as error:
            log.warning("chunk %s of job %s goes back: %s", chunk.id, chunk.job_id, error)
            self.services.chunks.release(chunk.id)
            return False
        except Exception:
            log.exception("chunk %s of job %s goes back", chunk.id, chunk.job_id)
            self.services.chunks.release(chunk.id, died=True)
        return True

    def _report(self, outcomes: Mapping[str, Outcome], timings: Timings) -> None:
        failed = sum(outcome.state is ItemState.FAILED for outcome in outcomes.values())
        facts = {"items": len(outcomes), "failed": failed, **timings.report(self.services.meters)}
        log.info("chunk committed", extra=facts)

    def _fail_job(self, chunk: Chunk, error: DarkroomError) -> None:
        try:
            self.services.store.fail(chunk.job_id, Failure("model_unusable", str(error)))
        except NotFound:
            log.info("job %s was deleted meanwhile", chunk.job_id)
        self.services.chunks.release(chunk.id)

    def _wake_another_worker(self) -> None:
        """Where more waits, see to it that one message does: each worker that ends a chunk wakes one for the next."""
        for backlog in self.services.chunks.backlog():
            if (
                backlog.jobs
                and backlog.queue in self.queues
                and not self.services.messenger.message_count(backlog.queue)
            ):
                self.services.messenger.wake_workers(backlog.queue)


def threads_per_process(processes: int) -> int:
    """Cores for each of so many busy processes: more threads than cores make all of them slower."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes)
