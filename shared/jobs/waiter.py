"""Long polling, in a thread of the web process: for changes of a job, or for something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import BoundedSemaphore, Event

from shared.domain.entities import Job
from shared.jobs.ended import EndedJobs
from shared.jobs.store import JobStore

#: Seconds between two polls: short at first, since a job of one image takes about 20 ms, then growing exponentially.
#: A thread that is notified of the end of its job polls at the longest interval.
MIN_POLL_S, MAX_POLL_S, POLL_GROWTH = 0.004, 0.25, 1.3


class JobWaiter:
    """A limit on concurrent long polls, so that they do not starve other requests."""

    def __init__(self, slots: int, ended: EndedJobs | None = None) -> None:
        """Without `ended` a thread finds out about the end of a job by polling alone."""
        self._slots, self._ended = BoundedSemaphore(slots), ended

    def wait(self, store: JobStore, job: Job, seconds: float, enough: Callable[[Job], bool]) -> Job:
        """Return the job once `enough(job)` is true, after `seconds`, or at once if all slots are taken.

        Raise NotFound, Unavailable.
        """
        if seconds <= 0 or enough(job) or not self._slots.acquire(blocking=False):
            return job
        try:
            with self._noticing(job.id) as ended:
                return self._poll(store, job, time.monotonic() + seconds, enough, ended)
        finally:
            self._slots.release()

    def until_end(self, store: JobStore, job_id: str, seconds: float) -> Job:
        """Return the job when it has ended, after `seconds`, or at once if all slots are taken.

        Raise NotFound, Unavailable.
        """
        if seconds > 0 and self._slots.acquire(blocking=False):
            try:
                with self._noticing(job_id) as ended:
                    self._poll_for_end(store, job_id, time.monotonic() + seconds, ended)
            finally:
                self._slots.release()
        return store.get(job_id)

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

    def _noticing(self, job_id: str) -> AbstractContextManager[Event]:
        return self._ended.noticing(job_id) if self._ended else nullcontext(Event())

    def _poll_for_end(self, store: JobStore, job_id: str, deadline: float, ended: Event) -> None:
        pause = MAX_POLL_S if self._ended and self._ended.is_listening else MIN_POLL_S
        while not store.is_done(job_id) and (left := deadline - time.monotonic()) > 0:
            if ended.wait(min(pause, left)):
                break
            pause = min(pause * POLL_GROWTH, MAX_POLL_S)

    def _poll(self, store: JobStore, job: Job, deadline: float, enough: Callable[[Job], bool], ended: Event) -> Job:
        pause = MIN_POLL_S
        while (left := deadline - time.monotonic()) > 0:
            if ended.wait(min(pause, left)):
                ended.clear()
            pause = min(pause * POLL_GROWTH, MAX_POLL_S)
            if store.revision(job.id) != job.revision:
                job = store.get(job.id)
                if enough(job):
                    break
        return job
