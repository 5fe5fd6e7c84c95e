"""Wait for a job to change, in a thread of the web process, without starving the other requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import BoundedSemaphore

from shared.domain.entities import Job
from shared.jobs.store import JobStore

#: Seconds between two looks: short at first, for the job of one picture that takes some 20 ms, and longer from look to
#: look, since whoever has waited long waits for a big job.
MIN_POLL_S, MAX_POLL_S, POLL_GROWTH = 0.004, 0.25, 1.3


class JobWaiter:
    """Lets at most so many requests wait at a time; one more is answered at once."""

    def __init__(self, places: int) -> None:
        self._places = BoundedSemaphore(places)

    def wait(self, store: JobStore, job: Job, seconds: float, enough: Callable[[Job], bool]) -> Job:
        """The job as soon as it is `enough`, or as it is after `seconds`. Raises NotFound, Unavailable."""
        if seconds <= 0 or enough(job) or not self._places.acquire(blocking=False):
            return job
        try:
            return self._poll(store, job, time.monotonic() + seconds, enough)
        finally:
            self._places.release()

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
