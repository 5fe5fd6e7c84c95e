"""Waiting for a job to change, with a store that changes it at a given check."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pytest

from shared.domain.entities import Job, JobKind, JobState
from shared.domain.errors import NotFound
from shared.jobs.waiter import JobWaiter


class Jobs:
    """A store with one job, which `at` changes: number of the check → what it does."""

    def __init__(self, at: Mapping[int, Callable[[], None]] | None = None) -> None:
        self.job: Job | None = Job("0" * 32, JobKind.CLASSIFICATION, JobState.RUNNING, 0.0)
        self.at, self.checks = at or {}, 0
        self.checked = threading.Event()

    def change(self, **fields) -> None:
        self.job = Job(**{**vars(self.job), **fields, "revision": self.job.revision + 1})

    def get(self, _job_id: str) -> Job:
        if self.job is None:
            raise NotFound("gone")
        return self.job

    def revision(self, job_id: str) -> int:
        self.checks += 1
        self.at.get(self.checks, lambda: None)()
        self.checked.set()
        return self.get(job_id).revision


def done(job: Job) -> bool:
    return job.state.done


def test_waiting_ends_with_the_awaited_change():
    jobs = Jobs({3: lambda: jobs.change(sealed=True), 6: lambda: jobs.change(state=JobState.SUCCEEDED)})
    assert JobWaiter(1).wait(jobs, jobs.job, 60, done).state is JobState.SUCCEEDED
    assert jobs.checks == 6


def test_waiting_ends_after_its_time_with_the_latest_state():
    jobs = Jobs({2: lambda: jobs.change(sealed=True)})
    assert JobWaiter(1).wait(jobs, jobs.job, 0.4, done).sealed
    assert jobs.checks < 30, "the interval between checks grows"


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_waiting(seconds):
    jobs = Jobs()
    assert JobWaiter(1).wait(jobs, jobs.job, seconds, done) is jobs.job and jobs.checks == 0


def test_waiting_for_a_deleted_job_raises_not_found():
    jobs = Jobs({3: lambda: setattr(jobs, "job", None)})
    with pytest.raises(NotFound):
        JobWaiter(1).wait(jobs, jobs.job, 60, done)


def test_no_free_place_is_no_waiting_and_places_are_returned():
    first, second, waiter = Jobs(), Jobs({2: lambda: second.change(state=JobState.SUCCEEDED)}), JobWaiter(1)
    thread = threading.Thread(target=lambda: waiter.wait(first, first.job, 60, done))
    thread.start()
    assert first.checked.wait(60)
    assert waiter.wait(second, second.job, 60, done) is second.job and second.checks == 0
    first.change(state=JobState.SUCCEEDED)
    thread.join(60)
    assert waiter.wait(second, second.job, 60, done).state is JobState.SUCCEEDED
