"""The reconciler: `python -m worker.reconcile`. It repairs what crashes leave behind; several copies may run.

It releases chunks whose lease has expired, wakes workers for queues without messages, closes abandoned jobs, deletes
expired ones and runs model imports.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass

from shared import logs
from shared.domain.entities import Job
from shared.domain.errors import Conflict, DarkroomError, NotFound
from shared.jobs.chunks import ChunkStore
from shared.jobs.messenger import Messenger
from shared.jobs.store import JobStore
from shared.services import Services
from shared.settings import load_settings
from worker.importing.supervisor import ImportSupervisor
from worker.reconcile.orphans import remove_orphans
from worker.runtime.signals import stop_event

log = logging.getLogger("darkroom.reconcile")

#: Seconds between two rounds.
ROUND_S = 1.0
#: Rounds between two searches for orphans, each of which lists the whole storage: an hour.
ORPHAN_ROUNDS = 3600
#: Chunks and jobs that one round handles at most.
BATCH = 100
#: Messages to send to a queue that has waiting jobs but no messages.
WAKE_MESSAGES = 4


@dataclass(frozen=True)
class Reconciler:
    """The repairs that need only the job store. `delete_bytes` deletes the stored bytes of a removed job."""

    chunks: ChunkStore
    jobs: JobStore
    messenger: Messenger
    delete_bytes: Callable[[str], None]

    def run(self) -> None:
        """Run one round. Raise Unavailable if Redis or the storage cannot be reached."""
        for chunk_id in self.chunks.expired_leases(BATCH):
            items = self.chunks.release(chunk_id, died=True)
            log.warning("the lease of chunk %s expired: its %d items are queued again", chunk_id, items)
        for queue, jobs in self.chunks.backlog().items():
            if jobs and not self.messenger.message_count(queue):
                self.messenger.wake_workers(queue, WAKE_MESSAGES)
        for job in self.jobs.expired(BATCH):
            self._expire(job)
        for job_id in self.jobs.removing():
            self.delete_bytes(job_id)

    def _expire(self, job: Job) -> None:
        """Cancel an abandoned job or finish an interrupted cancellation; remove a job that is done or unlisted."""
        try:
            if not job.state.done and self.jobs.is_listed(job.id):
                self.jobs.cancel(job.id)
            else:
                self.jobs.remove(job.id, force=True)
                self.delete_bytes(job.id)
        except (NotFound, Conflict):
            log.info("job %s has ended in the meantime", job.id)


def attempt(step: Callable[[], None]) -> None:
    """Run one step of a round. A failed step is logged and repeated in the next round."""
    try:
        step()
    except DarkroomError as error:
        log.warning("a step of this round failed: %s", error)


def main() -> None:
    """Reconcile until SIGTERM or SIGINT."""
    logs.configure()
    stopping = stop_event()
    services = Services.build(load_settings())
    reconciler = Reconciler(services.chunks, services.store, services.messenger, services.delete_bytes)
    importer = ImportSupervisor(services.imports, services.registry, services.blobs.temporary_folder)
    retention_s = services.settings.retention_hours * 3600
    for number in itertools.count():
        if stopping.wait(ROUND_S):
            break
        for step in (reconciler.run, importer.poll):
            attempt(step)
        if number % ORPHAN_ROUNDS == 0:
            attempt(lambda: remove_orphans(services.blobs, services.store, retention_s))
    attempt(importer.stop)
