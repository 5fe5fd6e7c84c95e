"""The connection to Redis is lost, slow, or cut between a request and its answer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli import redis_server
from shared.jobs.connection import Scripts, connect
from shared.settings import Settings
from tests.conftest import answers, wait_until
from tests.faults.kit import Answer, Arena, arena_in, check
from tests.faults.proxy import Proxy, running_proxy
from tests.versions_kit import apart, small_network

#: Seconds without Redis: longer than a chunk's lease.
DOWN_S = 12
#: Seconds in which the web server must say that it has no Redis.
EXCUSE_S = 8
#: Seconds by which answers are late, which is too late, and for how long.
LATE_S, SLOW_S = 2, 10


@pytest.fixture(scope="module")
def proxy(data_dir: Path) -> Iterator[Proxy]:
    server = redis_server.prepare(Settings(data_dir=data_dir))
    redis = subprocess.Popen(server.command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(server.url), "Redis answers")
        with running_proxy(urlsplit(server.url).port) as proxy:
            yield proxy
    finally:
        redis.kill()
        redis.wait()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arena")


@pytest.fixture(scope="module")
def arena(data_dir: Path, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    model = apart(small_network, tmp_path_factory.mktemp("small"))
    lines = (data_dir / "redis" / "redis.conf").read_text().splitlines()
    password = next(line.split()[1] for line in lines if line.startswith("requirepass"))
    with arena_in(data_dir, model, redis_url=f"redis://:{password}@127.0.0.1:{proxy.port}/0") as arena:
        yield arena


@pytest.fixture(scope="module")
def expected(arena: Arena) -> dict[str, Answer]:
    return arena.undisturbed()


def test_redis_cannot_be_reached_for_longer_than_a_lease(
    arena: Arena, proxy: Proxy, expected: dict[str, Answer]
) -> None:
    job_id = arena.submit()
    arena.begun(job_id)
    proxy.is_down = True
    try:
        began = time.monotonic()
        assert arena.http.get(f"/v1/jobs/{job_id}", timeout=EXCUSE_S).status_code == 503
        time.sleep(max(0, began + DOWN_S - time.monotonic()))
    finally:
        proxy.is_down = False
    check(arena, job_id, expected)


def test_redis_answers_late(arena: Arena, proxy: Proxy, expected: dict[str, Answer]) -> None:
    job_id = arena.submit()
    arena.begun(job_id)
    proxy.delay_s = LATE_S
    try:
        time.sleep(SLOW_S)
    finally:
        proxy.delay_s = 0
    check(arena, job_id, expected)


def sha_of(script: str) -> bytes:
    """The name under which Redis knows a script."""
    return Scripts(connect("redis://127.0.0.1:1/0"))._scripts[script].sha.encode()


@pytest.mark.parametrize("script", ["create", "add", "seal", "claim", "commit", "remove"])
def test_an_answer_is_lost(script: str, arena: Arena, proxy: Proxy, expected: dict[str, Answer]) -> None:
    """Redis has done what it was asked, but nobody hears of it."""
    proxy.cut = sha_of(script)
    job_id = arena.submit()
    check(arena, job_id, expected)
    assert proxy.cut is None, f"{script} was never called"
    if script == "commit":
        assert arena.counter("duplicate_commits")
