"""Programs whose clocks are an hour wrong, and Redis's clock stepping by an hour during a job."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from cli.stack import embedded_redis
from cli.stack.programs import programs
from shared.redis import keys
from shared.redis.connection import now_ms
from shared.services import Services
from shared.settings import PREFIX, Settings
from tests.conftest import ROOT, START_STOP_S, Service, answers, wait_until
from tests.faults.checks import Expected, check
from tests.faults.harm import kill
from tests.faults.kit import SLOW, Arena, entered
from tests.programs import need

HOUR_S = 3600
#: Each program's clock, for libfaketime. A program that used its own clock instead of Redis's would be off by an hour.
WRONG = {"web": "-1h", "classify-bulk": "+1h", "reconcile": "-1h"}


def fake_clock(**how: str) -> dict[str, str]:
    """Return environment variables that change a program's time of day, but not the speed of time."""
    need("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    # Without the last one, waits with a timeout return at once, and programs with threads are always busy waiting.
    fixed = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0"}
    return {"LD_PRELOAD": str(library), **fixed, **how}


class Clock:
    """Redis's clock: the true time plus an offset in a file, which is read once a second."""

    def __init__(self, file: Path) -> None:
        self._file, self._ahead_s = file, 0
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        return fake_clock(FAKETIME_TIMESTAMP_FILE=str(self._file), FAKETIME_CACHE_DURATION="1")

    def step(self, arena: Arena, seconds: int) -> None:
        """Set the clock ahead or back, and wait until Redis follows."""
        self._ahead_s += seconds
        self._write()
        with arena.redis() as client:
            wait_until(lambda: abs(client.time()[0] - time.time() - self._ahead_s) < HOUR_S / 2, "Redis goes by it")

    def _write(self) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{self._ahead_s:+}\n")
        temporary.replace(self._file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "redis")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, clock: Clock, model: Path) -> Iterator[Arena]:
    """Run the programs that a classification needs, each with its own clock."""
    data_dir = tmp_path_factory.mktemp("arena")
    server, port = embedded_redis.prepare(Settings(data_dir=data_dir)), embedded_redis.free_port()
    settings = Settings(data_dir=data_dir, redis_url=server.url, port=port, web_processes=1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with ExitStack() as stack:
        stack.enter_context(running(server.command, environment | clock.environment, server.folder))
        wait_until(lambda: answers(server.url), "Redis answers")
        services = Services.build(settings)
        stack.callback(services.close)
        services.registry.promote(services.registry.publish(model).version)
        environment |= {"DARKROOM_DATA_DIR": str(data_dir), "DARKROOM_REDIS_URL": server.url}
        started = {}
        for name, wrong in WRONG.items():
            python, flag, *words = [SLOW if word == "worker.runtime.app" else word for word in programs(settings)[name]]
            words = [python, flag, "tests.faults.timed", *words]
            started[name] = stack.enter_context(running(words, environment | fake_clock(FAKETIME=wrong)))
        with entered(Service(f"http://127.0.0.1:{port}", data_dir, started["web"])) as arena:
            yield arena


@contextmanager
def running(words: list[str], environment: dict[str, str], folder: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(words, cwd=folder, env=environment, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(START_STOP_S)


@contextmanager
def stopped_worker(arena: Arena) -> Iterator[tuple[psutil.Process, str]]:
    """Stop a worker that holds a chunk (SIGSTOP); yield it and the chunk's id; let it continue afterwards."""
    while True:
        worker, chunk = arena.worker_in_work()
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.suspend()
            if arena.holds(chunk):
                break
            worker.resume()
    try:
        yield worker, chunk
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.resume()


def wait_until_lost(arena: Arena, chunk: str) -> None:
    """Wait until the chunk's worker has lost it."""
    wait_until(lambda: not arena.holds(chunk), "the chunk is taken away")


def seconds_by_redis(arena: Arena, job_id: str) -> float:
    """Return how long a job took by the timestamps of the job store."""
    job = arena.ended(job_id)
    return (datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])).total_seconds()


def test_clocks_that_are_an_hour_wrong_change_nothing(arena: Arena, expected: Expected) -> None:
    """No live worker loses its chunk, and a dead worker's chunk is recovered when its lease ends."""
    before, job_id = arena.counter("stale_commits"), arena.submit()
    with stopped_worker(arena) as (worker, chunk):
        kill(worker)
        with arena.redis() as client:
            ends_ms = client.zscore(keys.LEASES, chunk)
            wait_until_lost(arena, chunk)
            assert now_ms(client) >= ends_ms
    check(arena, job_id, expected)
    assert arena.counter("stale_commits") == before


def test_redis_is_set_an_hour_ahead(arena: Arena, clock: Clock, expected: Expected) -> None:
    """All leases end at once: chunks are processed again, and count once."""
    before, job_id = arena.counter("stale_commits"), arena.submit()
    with stopped_worker(arena) as (_, chunk):
        clock.step(arena, HOUR_S)
        wait_until_lost(arena, chunk)
    wait_until(lambda: arena.counter("stale_commits") > before, "the worker that lost its chunk has tried to commit")
    took = seconds_by_redis(arena, job_id)
    assert took > HOUR_S
    check(arena, job_id, expected)


def test_redis_is_set_an_hour_back(arena: Arena, clock: Clock, expected: Expected) -> None:
    """A dead worker's lease, which would last for another hour, ends in time."""
    job_id = arena.submit()
    with stopped_worker(arena) as (worker, chunk):
        kill(worker)
        clock.step(arena, -HOUR_S)
        wait_until_lost(arena, chunk)
    took = seconds_by_redis(arena, job_id)
    assert took < 0
    check(arena, job_id, expected)
