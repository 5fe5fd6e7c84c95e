"""The control experiment: the same kills double results of plain Celery with late acknowledgement."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from celery import Celery

from cli.stack.embedded_redis import redis_server_path
from shared.redis.connection import connect
from shared.settings import Settings
from tests.conftest import ROOT, START_STOP_S, running_redis, wait_until
from tests.faults.harm import kill

#: Tasks, and finished tasks between two kills.
TASKS, BETWEEN = 200, 10


@contextmanager
def late_worker(url: str) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "celery", "--app", "tests.faults.late_ack", "worker", "--queues", "late"]
    environment = {**os.environ, "DARKROOM_REDIS_URL": url}
    worker = subprocess.Popen(
        [*command, "--concurrency", "2", "--loglevel", "ERROR"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield psutil.Process(worker.pid)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(START_STOP_S)


def test_late_acknowledgement_doubles_results(tmp_path: Path) -> None:
    chance = random.Random(4)
    with running_redis(redis_server_path(), tmp_path) as url, connect(url) as redis:
        with Celery(broker=Settings(redis_url=url).resolved_broker_url()) as sender:
            for number in range(TASKS):
                sender.send_task("write", [number], queue="late", ignore_result=True)
        with late_worker(url) as worker:
            for done in range(BETWEEN, TASKS, BETWEEN):
                wait_until(lambda done=done: redis.llen("done") >= done, f"{done} tasks are done", every=0.05)
                kill(chance.choice(wait_until(worker.children, "a child is there")))
            wait_until(lambda: redis.llen("done") >= TASKS, "as many results as tasks are there")
        seen = Counter(map(int, redis.lrange("done", 0, -1)))
    doubled = [number for number, times in seen.items() if times > 1]
    print(f"{len(doubled)} of {TASKS} results are there twice")
    assert doubled
