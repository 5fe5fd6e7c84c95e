"""Long polling, in a thread of the web process: for changes of a job, or for something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import BoundedSemaphore

from shared.domain.entities import Job
from shared.jobs.store import JobStore

#: Seconds between two polls: short at first, since a job of one image takes about 20 ms, then growing exponentially.
MIN_POLL_S, MAX_POLL_S, POLL_GROWTH = 0.004, 0.25, 1.3


class JobWaiter:
    """A limit on concurrent long polls, so that they do not starve other requests."""

    def __init__(self, slots: int) -> None:
        self._slots = BoundedSemaphore(slots)

    def wait(self, store: JobStore, job: Job, seconds: float, enough: Callable[[Job], bool]) -> Job:
        """Return the job once `enough(job)` is true, after `seconds`, or at once if all slots are taken.

        Raise NotFound, Unavailable.
        """
        if seconds <= 0 or enough(job) or not self._slots.acquire(blocking=False):
            return job
        try:
            return self._poll(store, job, time.monotonic() + seconds, enough)
        finally:
            self._slots.release()

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether `condition()` is true within `seconds`. Return False at once if all slots are taken.

        Raise what it raises.
        """
        if seconds <= 0 or not self._slots.acquire(blocking=False):
            return False
        try:
            return self._is_met(condition, time.monotonic() + seconds)
        finally:
            self._slots.release()

    def _is_met(self, condition: Callable[[], bool], deadline: float) -> bool:
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(MAX_POLL_S, left))
            if condition():
                return True
        return False

    def _poll(self, store: JobStore, job: Job, deadline: float, enough: Callable[[Job], bool]) -> Job:
        pause = MIN_POLL_S
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(pause * POLL_GROWTH, MAX_POLL_S)
            if store.revision(job.id) != job.revision:
                job = store.get(job.id)
                if enough(job):
                    break
        return job
