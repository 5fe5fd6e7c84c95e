"""One worker process: its models, threads and heartbeat, built from the services after the fork."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.code import own_code
from shared.domain.entities import Queue
from shared.domain.errors import ConfigError, Unavailable
from shared.jobs.workers import STORAGE, Worker
from shared.services import Services
from worker import hardware
from worker.classify.chunk_worker import ChunkWorker
from worker.classify.classifier import Classifier
from worker.datasets.importer import PictureImporter
from worker.datasets.near_copies import NearCopies
from worker.heatmaps.heatmap_worker import HeatmapWorker
from worker.runtime.broker_watchdog import BrokerWatchdog
from worker.runtime.heartbeat import Heartbeat
from worker.serving.champion_watch import ChampionWatcher
from worker.serving.lacks import Lacks
from worker.serving.models import ModelCache
from worker.serving.peers import Peers
from worker.training.report_supervisor import ReportSupervisor
from worker.training.supervisor import TrainingSupervisor

#: Decoding threads if uploads come from S3, where most of the time is spent waiting. With a local disk: one per core.
REMOTE_READERS = 16
#: Seconds that a worker waits after a message for which it may not work.
IDLE_S = 1.0
#: Seconds for which a process goes on with the next unit of work after one message. A unit may take longer.
LOOP_S = 0.5
#: Seconds for which a process that finds no work waits for the next small job: a client that sends one picture after
#: the other sends the next one within them. All others wait that long for a process, if all processes do this.
LINGER_S = 0.1

log = logging.getLogger(__name__)


class WorkerProcess:
    """The parts of one process. `chunks`, `heatmaps` and `trainings` each do one unit of work per message."""

    def __init__(self, services: Services, queues: Sequence[Queue]) -> None:
        # In containers, hosts and process numbers may be the same everywhere.
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.queues = tuple(queues)
        threads = threads_per_process(services.settings.classify_workers if Queue.BULK in queues else 1)
        self.lacks = Lacks()
        self.models = ModelCache(services.registry, threads, services.settings.model_memory, self.lacks)
        self._workers, self._metrics, self._identity = services.workers, services.meters, services.storage_identity
        self.watchdog = BrokerWatchdog(services.messenger, queues)
        self.heartbeat = Heartbeat(services.workers, services.chunks, self.describe, self._on_heartbeat)
        self._champion_watcher = ChampionWatcher(services.registry, self.models, self._send_heartbeat)
        readers = REMOTE_READERS if services.blobs.is_remote else threads
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="decode")
        self.chunks = ChunkWorker(
            name=self.name,
            queues=self.queues,
            chunks=services.chunks,
            jobs=services.store,
            messenger=services.messenger,
            metrics=services.meters,
            models=self.models,
            classifier=Classifier(services.blobs, services.settings.max_pixels, self._pool),
            importer=PictureImporter(
                services.blobs,
                services.dataset_pictures,
                services.dataset_imports,
                NearCopies(services.blobs),
                services.settings.max_pixels,
                self._pool,
            ),
            renewing=self.heartbeat.renewing,
            workers=services.workers,
            announce=self._send_heartbeat,
        )
        self.heatmaps = HeatmapWorker(
            self.queues,
            services.heatmaps,
            services.store,
            services.blobs,
            services.messenger,
            self.models,
            Peers(self.name, services.workers, self.lacks),
            services.settings.max_pixels,
        )
        self.trainings = TrainingSupervisor(services, self.heartbeat.renewing, self.name, self.lacks)
        self.reports = ReportSupervisor(services)

    def start(self) -> None:
        """Load the champion if the process classifies, then start the heartbeat. A broken champion is not fatal."""
        if self.chunks.classify_queues:
            self._champion_watcher.start()
        self.heartbeat.start()

    def stop(self) -> None:
        """Stop the heartbeat and all threads."""
        self._champion_watcher.stop()
        self.heartbeat.stop()
        with contextlib.suppress(Unavailable):
            self._metrics.flush()
        self._pool.shutdown(cancel_futures=True)

    def describe(self) -> Worker:
        """Return the worker as it is listed: its queues, its loaded champion, what it lacks, its code, its speed."""
        champion, lacks, code = self._champion_watcher.champion, self.lacks.all(), own_code().version
        return Worker(self.name, self.queues, champion, lacks, code, round(self.chunks.pace.per_s(), 3))

    def may_work(self) -> bool:
        """Return whether this process uses the same storage as the others; if not, say so. Raise Unavailable."""
        try:
            self._identity.check()
        except ConfigError as error:
            if STORAGE not in self.lacks.untried():
                log.error("this worker claims no work: %s", error)
                self.lacks.add(STORAGE, str(error))
            time.sleep(IDLE_S)  # leave the next message to another worker
            return False
        self.lacks.remove(STORAGE)
        return True

    def work_on_pictures(self) -> None:
        """Make the heatmap that has waited longest, or else classify the next chunk of the job whose turn it is.

        Go on for LOOP_S: to send and receive a message costs more than to classify a small job.
        """
        end = time.monotonic() + LOOP_S
        while True:
            was_work = self._one_unit()
            if time.monotonic() > end or not (was_work or self._linger()):
                return

    def _one_unit(self) -> bool:
        """Make a heatmap or classify a chunk. Return False if none waits."""
        if self.heatmaps.work():
            self.chunks.wake_another_worker()  # the message may have been for a chunk
            return True
        return self.chunks.work()

    def _linger(self) -> bool:
        """Wait for a small job. Return whether there is one. A process that lacks a model leaves jobs to the others."""
        may = Queue.INTERACTIVE in self.queues and not self.lacks.all()
        return may and self.chunks.chunks.linger(self.name, LINGER_S)

    def _on_heartbeat(self) -> None:
        self._metrics.flush()
        self.watchdog.check()

    def _send_heartbeat(self) -> None:
        """Announce a change at once: a client that has promoted a version, or another worker, is waiting for it."""
        self._workers.record_heartbeat(self.describe())


def threads_per_process(processes: int) -> int:
    """Return the cores per process, at least 1, for this many busy processes: more threads than cores are slower."""
    return max(1, hardware.cores() // processes)
