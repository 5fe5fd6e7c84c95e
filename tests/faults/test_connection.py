"""The connection to Redis is down, slow, or closed between a request and its response."""

from __future__ import annotations

import time

import pytest

from shared.redis.connection import Scripts, script_texts
from tests.conftest import wait_until
from tests.faults.checks import Expected, check
from tests.faults.kit import Arena
from tests.faults.proxy import Proxy
from tests.shared.redis.test_refusals import REFUSALS

#: The scripts of a job's life, in order.
SCRIPTS = ("create", "add", "claim", "renew", "commit", "remove")
#: Seconds without Redis: longer than a chunk's lease.
DOWN_S = 12
#: Seconds in which the web server answers 503 without Redis, even if the cores are busy.
EXCUSE_S = 25
#: Refusals that Celery and redis-py treat differently. `tests/web/test_refusals.py` has all of them.
REFUSED = ("BUSY", "DENIED", "LOADING", "NOPERM", "NOREPLICAS", "WRONGPASS")
#: Worker processes of the arena: one for small jobs, two for big ones, one for trainings.
WORKERS = 4
#: Seconds for which Redis refuses each time, which a heartbeat meets, and seconds between two refusals.
REFUSED_S, BETWEEN_S = 3, 0.5
#: Seconds by which responses are delayed, which is beyond the timeout, and for how long.
LATE_S, SLOW_S = 2, 10


@pytest.fixture
def arena(arena_apart: Arena) -> Arena:
    return arena_apart


def test_redis_cannot_be_reached_for_longer_than_a_lease(arena: Arena, proxy: Proxy, expected: Expected) -> None:
    job_id = arena.submit()
    arena.begun(job_id)
    proxy.is_down = True
    try:
        began = time.monotonic()
        with arena.service.client() as http:
            path = f"/v1/jobs/{job_id}"
            wait_until(lambda: http.get(path, timeout=EXCUSE_S).status_code == 503, "requests are refused", EXCUSE_S)
        time.sleep(max(0, began + DOWN_S - time.monotonic()))
    finally:
        proxy.is_down = False
    check(arena, job_id, expected)
    print(f"Redis was away for {DOWN_S} s")


def test_redis_answers_late(arena: Arena, proxy: Proxy, expected: Expected) -> None:
    job_id = arena.submit()
    arena.begun(job_id)
    proxy.delay_s = LATE_S
    try:
        time.sleep(SLOW_S)
    finally:
        proxy.delay_s = 0
    check(arena, job_id, expected)
    print(f"Redis answered {LATE_S} s late for {SLOW_S} s")


def test_redis_refuses_everything(arena: Arena, proxy: Proxy, expected: Expected) -> None:
    """Given each refusal for a while in the middle of a job, then it ends, and as many processes work afterwards."""
    wait_until(lambda: len(workers(arena)) == WORKERS, "all worker processes are there")
    job_id = arena.submit()
    arena.begun(job_id)
    with arena.service.client() as http:
        for refusal in (refusal for refusal in REFUSALS if refusal.split()[0] in REFUSED):
            proxy.refusal = refusal
            time.sleep(REFUSED_S)
            answer = http.get("/readyz", timeout=EXCUSE_S)
            proxy.refusal = ""
            time.sleep(BETWEEN_S)
            assert answer.status_code == 503 and REFUSALS[refusal] in answer.json()["checks"]["redis"]["detail"]
        wait_until(lambda: http.get("/readyz").status_code == 200, "the service is ready again", EXCUSE_S)
    check(arena, job_id, expected)
    wait_until(lambda: len(workers(arena)) == WORKERS, "all worker processes are there again")
    print(f"Redis refused everything for {REFUSED_S} s each: {', '.join(REFUSED)}")


def workers(arena: Arena) -> list[dict]:
    return arena.http.get("/v1/queues").json()["workers"]


def test_answers_are_lost(arena: Arena, proxy: Proxy, expected: Expected) -> None:
    """Redis runs a script, but its response is lost: once for each step of a job."""
    with arena.redis() as client:
        scripts = {name: Scripts(client).script(name) for name in script_texts()}
        for script in scripts.values():
            client.script_load(script.script)  # otherwise the first response to each would be NOSCRIPT
    before = arena.counter("duplicate_commits")
    proxy.cuts = {scripts[name].sha.encode() for name in SCRIPTS}
    check(arena, arena.submit(), expected)
    assert proxy.cuts == set(), "a script was never called"
    assert arena.counter("duplicate_commits") > before
    print(f"the answers of {', '.join(SCRIPTS)} were lost")
