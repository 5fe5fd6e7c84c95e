"""The reconciler: `python -m worker.reconcile`. It repairs what crashes leave behind; several copies may run.

It releases chunks whose lease has expired, wakes workers for queues without messages, closes abandoned jobs, deletes
expired ones, completes deletions in datasets, and imports and exports models.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from shared import logs
from shared.domain.entities import Job, Queue
from shared.domain.errors import Conflict, NotFound
from shared.jobs.chunks import HEARTBEAT_S, ChunkStore
from shared.jobs.heatmaps import HeatmapQueue
from shared.jobs.messenger import Messenger
from shared.jobs.rounds import RECONCILE
from shared.jobs.store import JobStore
from shared.redis.work_queue import WorkQueue
from shared.services import Services
from shared.settings import load_settings
from worker.exporting.supervisor import ExportSupervisor
from worker.importing.supervisor import ImportSupervisor
from worker.reconcile.orphans import remove_orphans
from worker.runtime.signals import stop_event
from worker.runtime.steps import Step

log = logging.getLogger("darkroom.reconcile")

#: Seconds between two rounds.
ROUND_S = 1.0
#: Rounds between two searches for orphans, each of which lists the whole storage: an hour.
ORPHAN_ROUNDS = 3600
#: Seconds without a look at the leases after which they may have expired under healthy workers, which renew them in the
#: same time.
OUTAGE_S = 2 * HEARTBEAT_S
#: Seconds that the thread for the storage may take to stop.
STOP_S = 2.0
#: Chunks and jobs that are read at a time, and how often a round goes on with the next jobs to remove.
BATCH, BATCHES = 100, 10
#: Jobs that are removed at the same time: mostly they wait for the storage.
AT_ONCE = 16
#: Messages to send to a queue that has waiting jobs but no messages.
WAKE_MESSAGES = 4


class Reconciler:
    """The repairs of the job store. `delete_bytes` deletes the stored bytes of a removed job.

    Every step raises Unavailable if a part that it needs cannot be reached.
    """

    def __init__(
        self,
        chunks: ChunkStore,
        jobs: JobStore,
        messenger: Messenger,
        delete_bytes: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chunks, self._jobs, self._messenger = chunks, jobs, messenger
        self._delete_bytes, self._clock = delete_bytes, clock
        #: When the leases were last read, and until when an expired one proves nothing.
        self._read_at, self._trusted_from = clock(), 0.0

    def run(self) -> None:
        """Run each step once."""
        for step in (self.release_lost, self.wake_workers, self.remove_expired):
            step()

    def release_lost(self) -> None:
        """Release chunks and trainings whose lease has expired, with a death for each.

        After an outage of Redis, first give healthy workers the time to renew their leases.
        """
        expired, now = self._chunks.expired_leases(BATCH), self._clock()
        if now - self._read_at > OUTAGE_S:
            self._trusted_from = now + OUTAGE_S
        self._read_at = now
        for chunk_id in expired if now >= self._trusted_from else ():
            items = self._chunks.release(chunk_id, died=True)
            log.warning("the lease of chunk %s expired: its %d items are queued again", chunk_id, items)

    def wake_workers(self) -> None:
        """Send messages to queues that have jobs and no messages."""
        for queue, jobs in self._chunks.backlog().items():
            if jobs and not self._messenger.message_count(queue):
                self._messenger.wake_workers(queue, WAKE_MESSAGES)

    def remove_expired(self) -> None:
        """Close abandoned jobs, remove expired ones, and finish interrupted removals."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in range(BATCHES):
                jobs = self._jobs.expired(BATCH)
                list(pool.map(self._expire, jobs))
                if len(jobs) < BATCH:
                    break
            list(pool.map(self._delete_bytes, self._jobs.removing()))

    def _expire(self, job: Job) -> None:
        """Cancel an abandoned job or finish an interrupted cancellation; remove a job that is done or unlisted."""
        try:
            if not job.state.done and self._jobs.is_listed(job.id):
                self._jobs.cancel(job.id)
            else:
                self._jobs.remove(job.id, force=True)
                self._delete_bytes(job.id)
        except (NotFound, Conflict):
            log.info("job %s has ended in the meantime", job.id)


def wake_if_due(waiting: WorkQueue | HeatmapQueue, messenger: Messenger, queue: Queue) -> None:
    """Send a message to a queue without messages if something waits for one of its workers."""
    if waiting.is_due() and not messenger.message_count(queue):
        messenger.wake_workers(queue)


class Hourly:
    """A step that is due once an hour. A step that fails is due again an hour later."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._run, self._rounds = run, itertools.count()

    def __call__(self) -> None:
        """Run the step in the first of ORPHAN_ROUNDS rounds."""
        if next(self._rounds) % ORPHAN_ROUNDS == 0:
            self._run()


def repeat(steps: Sequence[Step[None]], stopping: threading.Event) -> None:
    """Run the steps every ROUND_S seconds until `stopping` is set."""
    while not stopping.wait(ROUND_S):
        for step in steps:
            step()


def main() -> None:
    """Reconcile until SIGTERM or SIGINT. What needs the storage has its own thread, since the storage may hang."""
    logs.configure()
    stopping = stop_event()
    services = Services.build(load_settings())
    reconciler = Reconciler(services.chunks, services.store, services.messenger, services.delete_bytes)
    importer = ImportSupervisor(services.imports, services.registry, services.blobs.temporary_folder)
    exporter = ExportSupervisor(services.exports, services.registry, services.blobs.temporary_folder)
    retention_s = services.settings.retention_hours * 3600
    orphans = Hourly(lambda: remove_orphans(services.blobs, services.store, services.dataset_sweep, retention_s))
    wake = partial(wake_if_due, messenger=services.messenger)
    repairs = (
        Step("the release of lost chunks", reconciler.release_lost, log),
        Step("the waking of workers", reconciler.wake_workers, log),
        Step("the waking of workers for reports", partial(wake, services.reports, queue=Queue.TRAIN), log),
        Step("the waking of workers for heatmaps", partial(wake, services.heatmaps, queue=Queue.INTERACTIVE), log),
        Step("the sign of life", partial(services.rounds.record, RECONCILE), log),
    )

    def checked(run: Callable[[], None]) -> None:
        services.storage_identity.check()  # deleting from another storage than the others use would leave the pictures
        run()

    chores = (
        Step("the removal of expired jobs", partial(checked, reconciler.remove_expired), log),
        Step("the completion of changes to datasets", partial(checked, services.dataset_sweep.run), log),
        Step("the import of models", partial(checked, importer.poll), log),
        Step("the export of models", partial(checked, exporter.poll), log),
        Step("the search for orphans", partial(checked, orphans), log),
    )
    thread = threading.Thread(target=repeat, args=(chores, stopping), name="storage", daemon=True)
    thread.start()
    repeat(repairs, stopping)
    thread.join(STOP_S)
    Step("the end of an import", importer.stop, log)()
    Step("the end of an export", exporter.stop, log)()
