"""Record Items in a Job and wake workers for them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from shared.access.quotas import QuotaKind
from shared.domain.entities import Queue, Upload
from shared.domain.errors import NotFound
from shared.jobs.messenger import Messenger
from shared.jobs.skipped import SkippedFiles
from shared.jobs.store import AddResult, JobStore
from shared.services import Services
from web.middleware.rate_limits import charge
from web.uploads.intake import Intake


@dataclass(frozen=True)
class ItemWriter:
    """Adds Items to one open Job, which has at most `max_items`. Their bytes come from `intake`, or are stored."""

    store: JobStore
    messenger: Messenger
    skipped: SkippedFiles
    job_id: str
    max_items: int
    intake: Intake | None

    @classmethod
    def of(cls, services: Services, job_id: str, intake: Intake | None = None) -> ItemWriter:
        """Return the writer for a Job."""
        limit = services.settings.max_items
        return cls(services.store, services.messenger, services.skipped, job_id, limit, intake)

    def add(self, uploads: list[Upload]) -> list[AddResult]:
        """Store what waits, record the uploads as Items and wake workers; return how each was taken, in order.

        Raise TooManyRequests if the caller has used up the quota of Items of this hour, Conflict if the Job is sealed,
        NotFound, StorageFull, Unavailable.
        """
        uploads = self._prepared(uploads)
        results = self.store.add(self.job_id, uploads, self.max_items)
        wake_for_job(self.store, self.messenger, self.job_id, len(uploads))
        return results

    def add_last(self, uploads: list[Upload], queue: Queue) -> None:
        """Add uploads as `add` does, and seal the Job in the same step. Workers of this queue are woken."""
        uploads = self._prepared(uploads)
        if not self.store.add_last(self.job_id, uploads, self.max_items):
            self.messenger.wake_for_items(queue, len(uploads))

    def skip(self) -> None:
        """Record what was skipped so far, and how names were read."""
        if self.intake is not None:
            self.skipped.add(self.job_id, self.intake.skipped, self.intake.guessed, self.max_items)
            self.intake.skipped.clear()

    def _prepared(self, uploads: list[Upload]) -> list[Upload]:
        if self.intake is not None:
            uploads = self.intake.stored(uploads)
        charge(QuotaKind.ITEMS, len(uploads))
        return uploads


def wake_for_job(store: JobStore, messenger: Messenger, job_id: str, items: int) -> None:
    """Wake workers for new Items of a Job. A Job that was removed meanwhile needs none."""
    with contextlib.suppress(NotFound):
        messenger.wake_for_items(store.queue_of(job_id), items)
