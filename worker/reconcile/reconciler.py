"""The periodic task: `python -m worker.reconcile`. It mends what a crash has left, and may run in several copies.

It brings back chunks whose worker is gone, wakes workers for jobs that wait without a message, gives up open jobs that
nobody fills, deletes what retention has ended, and has models looked at that are to be imported.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

from shared import logs
from shared.domain.entities import Job
from shared.domain.errors import Conflict, DarkroomError, NotFound
from shared.services import Services
from shared.settings import load_settings
from worker.importing.supervisor import Importer
from worker.presets.announce import announce_missing
from worker.reconcile.orphans import remove_orphans
from worker.runtime.signals import stop_event

log = logging.getLogger("darkroom.reconcile")

#: Seconds between two rounds.
ROUND_S = 1.0
#: Rounds from one search for what nobody will ask for, which lists the whole storage, to the next: an hour.
ORPHAN_ROUNDS = 3600
#: Things of one kind that one round mends.
BATCH = 100
#: Messages that are sent where jobs wait and none is there.
WAKE_MESSAGES = 4


def reconcile(services: Services) -> None:
    """One round; each step raises Unavailable where Redis or the storage cannot be reached."""
    for chunk_id in services.chunks.expired_leases(BATCH):
        items = services.chunks.release(chunk_id, died=True)
        log.warning("the worker of chunk %s is gone: its %d items wait again", chunk_id, items)
    for backlog in services.chunks.backlog():
        if backlog.jobs and not services.messenger.message_count(backlog.queue):
            services.messenger.wake_workers(backlog.queue, WAKE_MESSAGES)
    for job in services.store.expired(BATCH):
        expire(services, job)
    for job_id in services.store.removing():
        services.delete_bytes(job_id)


def expire(services: Services, job: Job) -> None:
    """End an open job that was given up, or one whose cancelling broke off; remove what is over or was never sealed."""
    try:
        if not job.state.done and services.store.is_listed(job.id):
            services.store.cancel(job.id)
        else:
            services.store.remove(job.id, force=True)
            services.delete_bytes(job.id)
    except (NotFound, Conflict):
        log.info("job %s was ended by somebody else", job.id)


def attempt(step: Callable[[], None]) -> None:
    """Do one part of a round; what fails is tried again in the next one, and keeps no other part from its turn."""
    try:
        step()
    except DarkroomError as error:
        log.warning("this round ends early: %s", error)


def main() -> None:
    """Reconcile until SIGTERM or SIGINT."""
    logs.configure()
    stopping = stop_event()
    services = Services.build(load_settings())
    importer = Importer(services)
    for turn in itertools.count():
        if stopping.wait(ROUND_S):
            break
        for step in (lambda: announce_missing(services), lambda: reconcile(services), importer.turn):
            attempt(step)
        if turn % ORPHAN_ROUNDS == 0:
            attempt(lambda: remove_orphans(services))
    attempt(importer.stop)
