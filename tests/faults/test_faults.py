"""Each fault in the middle of a job of 3,000 pictures: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import running_service, wait_until
from tests.faults.kit import FAULTS, Answer, Arena, Fault, arena_in, check, kill, kill_web, stall_worker
from tests.faults.soak import Soak
from tests.versions_kit import apart, small_network

#: Seconds between two faults of those that come again and again.
PAUSE_S = 1.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that takes next to no time: what is tested is everything around it."""
    return apart(small_network, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Arena]:
    with arena_in(tmp_path_factory.mktemp("arena"), model) as arena:
        yield arena


@pytest.fixture(scope="module")
def expected(arena: Arena) -> dict[str, Answer]:
    return arena.undisturbed()


@contextmanager
def again_and_again(fault: Callable[[], None]) -> Iterator[list[float]]:
    """Let something happen every second while the block runs; gives the times at which it did."""
    over, times = threading.Event(), []

    def run() -> None:
        while not over.wait(PAUSE_S):
            fault()
            times.append(time.monotonic())

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield times
        finally:
            over.set()
    running.result()


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault is not stall_worker])
def test_a_job_outlives(fault: Fault, arena: Arena, expected: dict[str, Answer]) -> None:
    job_id = arena.submit()
    arena.begun(job_id)
    fault(arena, random.Random(4))
    check(arena, job_id, expected)


def test_a_worker_that_was_stalled_cannot_commit_over_its_successor(arena: Arena, expected: dict[str, Answer]) -> None:
    before = arena.counter("stale_commits")
    job_id = arena.submit()
    stall_worker(arena, random.Random(4))
    wait_until(lambda: arena.counter("stale_commits") > before, "the stalled worker has tried to commit")
    check(arena, job_id, expected)


def test_redis_is_killed_ten_times(arena: Arena, expected: dict[str, Answer]) -> None:
    jobs = [arena.submit() for _ in range(2)]
    for _ in range(10):
        old = arena.process("redis")
        kill(old)
        wait_until(lambda old=old: arena.process("redis") != old, "Redis is started again")
        arena.job(jobs[0])
    for job_id in jobs:
        check(arena, job_id, expected)


def test_the_web_server_is_killed_while_a_thousand_files_are_uploaded(
    arena: Arena, expected: dict[str, Answer]
) -> None:
    """The client repeats what it got no answer to, under the same keys."""
    names, chance = sorted(expected)[:1000], random.Random(4)
    job_id = arena.ask("POST", "/v1/jobs", json={"kind": "classification"}).json()["id"]
    with again_and_again(lambda: kill_web(arena, chance)) as times, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: arena.put(job_id, name), names))
    assert times, "the upload was over before the web server was killed"
    assert arena.ask("POST", f"/v1/jobs/{job_id}/seal").status_code == 202
    check(arena, job_id, {name: expected[name] for name in names})


def test_everything_is_killed_at_once_and_started_again(
    tmp_path: Path, model: Path, expected: dict[str, Answer]
) -> None:
    with arena_in(tmp_path, model) as arena:
        job_id = arena.submit()
        arena.begun(job_id)
        main = psutil.Process(arena.service.process.pid)
        for process in [main, *main.children(recursive=True)]:
            kill(process)
    with running_service(tmp_path) as service, service.client() as http:
        check(Arena(service, http), job_id, expected)


def test_faults_at_random(arena: Arena, expected: dict[str, Answer], capsys: pytest.CaptureFixture[str]) -> None:
    """`./darkroom test --faults` goes on with this for as long as it is told."""
    soak = Soak(arena, expected, random.Random(4))
    soak.run(6)
    assert soak.items >= len(expected)
    assert capsys.readouterr().out.count("\n") >= 6
