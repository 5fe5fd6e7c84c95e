"""Spooling, names, the Prefer header, JSON, and waiting."""

from __future__ import annotations

import hashlib
import json
import threading
import time

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.entities import Job, JobKind, JobState
from shared.domain.errors import MalformedRequest, NotFound
from shared.jobs.waiter import JobWaiter
from tests.conftest import wait_until
from tests.fixtures import odd
from web.schemas.requests import MAX_JSON_DEPTH, MAX_WAIT_S, json_value, preferred_wait_s
from web.uploads.intake import MAX_FILENAME, clean_filename
from web.uploads.spool import MEMORY_BYTES, spool

APP = Flask(__name__)


@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(1, 600))
def test_spool_measures_hashes_and_cuts(chunks, limit):
    whole = b"".join(chunks)
    with spool(chunks, limit, limit) as file:
        assert (file.size, file.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
        assert file.too_long == (len(whole) > limit)
        kept = file.content.read()
        assert whole.startswith(kept) and (file.too_long or kept == whole) and len(kept) <= limit


@pytest.mark.parametrize("step", [1, 7, 512, 100_000])
def test_spool_knows_an_archive_by_its_first_bytes(step):
    for name, kind in (
        ("pictures.zip", "zip"),
        ("pictures.tar", "tar"),
        ("pictures.tar.gz", "gzip"),
        ("text.jpg", None),
    ):
        whole = odd.NO_PICTURES[name]()
        with spool((whole[at : at + step] for at in range(0, len(whole), step)), 10, 1_000_000) as file:
            assert file.archive == kind
            assert file.too_long == (kind is None)


def test_spool_of_a_long_file_lies_on_the_disk_and_is_nameless(tmp_path):
    with spool([bytes(MEMORY_BYTES)] * 3, 10 * MEMORY_BYTES, 1, str(tmp_path)) as file:
        assert file.size == 3 * MEMORY_BYTES and not list(tmp_path.iterdir())


def test_spool_closes_its_file_where_the_client_goes_away(recwarn):
    def broken():
        yield bytes(2 * MEMORY_BYTES)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool(broken(), 10 * MEMORY_BYTES, 1)
    assert not recwarn.list


@given(st.text())
def test_clean_filename(name):
    kept = clean_filename(name)
    assert 0 < len(kept) <= MAX_FILENAME and kept.isprintable()
    assert clean_filename(kept) == kept


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=MAX_FILENAME))
def test_clean_filename_keeps_what_is_harmless(name):
    assert clean_filename(name) == name


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5), ("wait=0", 0), ("WAIT = 7", 7), ('wait="9"', 9), ("wait=999", MAX_WAIT_S),
        ("respond-async, wait=10", 10), ("respond-async; x=1, wait=4; y", 4), ("wait=3,wait=8", 3), ("", None),
        ("return=minimal", None), ("wait", None), ("wait=", None), ("wait=-1", None), ("wait=x", None),
        ("nowait=5", None), ("wait=9999999999999999999", MAX_WAIT_S),
        ("other; wait=5", None), ('other="a, wait=5"', None), ("other; wait=5, wait=6", 6), ("wait=x, wait=5", None),
    ],
)  # fmt: skip
def test_preferred_wait(header, seconds):
    with APP.test_request_context(headers={"Prefer": header}):
        assert preferred_wait_s(request) == seconds


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])))
def test_preferred_wait_of_any_header(header):
    with APP.test_request_context(headers={"Prefer": header}):
        seconds = preferred_wait_s(request)
    assert seconds is None or 0 <= seconds <= MAX_WAIT_S


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values)
def test_json_that_can_be_kept(value):
    assert json_value(json.dumps(value).encode(), "it") == value


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}",:1e9\\ud8')).map(str.encode))
def test_json_of_any_bytes(content):
    """It is refused, or can be written and read again."""
    try:
        value = json_value(content, "it")
    except MalformedRequest:
        return
    assert json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value


def test_json_that_is_too_deep():
    for depth, taken in ((MAX_JSON_DEPTH, True), (MAX_JSON_DEPTH + 1, False), (100_000, False)):
        content = b"[" * depth + b"]" * depth
        if taken:
            json_value(content, "it")
        else:
            with pytest.raises(MalformedRequest):
                json_value(content, "it")


class Jobs:
    """One job, as a store gives it, that other threads may change."""

    def __init__(self) -> None:
        self.revisions, self.job = 0, Job("0" * 32, JobKind.CLASSIFICATION, JobState.RUNNING, 0.0)

    def change(self, **fields) -> None:
        self.job = Job(**{**vars(self.job), **fields, "revision": self.job.revision + 1})

    def get(self, _job_id: str) -> Job:
        if self.job is None:
            raise NotFound("gone")
        return self.job

    def revision(self, job_id: str) -> int:
        self.revisions += 1
        return self.get(job_id).revision


def done(job: Job) -> bool:
    return job.state.done


def later(seconds: float, change) -> threading.Timer:
    timer = threading.Timer(seconds, change)
    timer.start()
    return timer


def test_waiting_ends_with_the_change_that_was_waited_for():
    jobs = Jobs()
    timers = [later(0.05, lambda: jobs.change(sealed=True)), later(0.2, lambda: jobs.change(state=JobState.SUCCEEDED))]
    began = time.monotonic()
    assert JobWaiter(1).wait(jobs, jobs.job, 20, done).state is JobState.SUCCEEDED
    assert 0.15 < time.monotonic() - began < 5
    for timer in timers:
        timer.join()


def test_waiting_ends_after_its_time_and_gives_the_latest():
    jobs = Jobs()
    timer = later(0.05, lambda: jobs.change(sealed=True))
    began = time.monotonic()
    assert JobWaiter(1).wait(jobs, jobs.job, 0.4, done).sealed
    assert 0.4 <= time.monotonic() - began < 5
    assert jobs.revisions < 30  # it looks less and less often
    timer.join()


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_waiting(seconds):
    jobs = Jobs()
    assert JobWaiter(1).wait(jobs, jobs.job, seconds, done) is jobs.job and jobs.revisions == 0


def test_job_that_goes_away_ends_the_waiting():
    jobs = Jobs()
    timer = later(0.05, lambda: setattr(jobs, "job", None))
    with pytest.raises(NotFound):
        JobWaiter(1).wait(jobs, jobs.job, 20, done)
    timer.join()


def test_one_too_many_is_answered_at_once_and_places_come_back():
    jobs, waiter = Jobs(), JobWaiter(1)
    first = threading.Thread(target=lambda: waiter.wait(jobs, jobs.job, 20, done))
    first.start()
    wait_until(lambda: jobs.revisions, "the first waits", every=0.001)
    began = time.monotonic()
    waiter.wait(jobs, jobs.job, 20, done)
    assert time.monotonic() - began < 5
    jobs.change(state=JobState.SUCCEEDED)
    first.join(5)
    assert not first.is_alive()
    timer = later(0.1, lambda: jobs.change(state=JobState.SUCCEEDED))
    jobs.change(state=JobState.RUNNING)
    began = time.monotonic()
    waiter.wait(jobs, jobs.job, 20, done)
    assert time.monotonic() - began > 0.05
    timer.join()
