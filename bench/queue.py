"""Overhead of the queue: an empty Celery task, against a whole chunk in Darkroom."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bench import files
from bench.references.empty_task import DONE, empty_task
from bench.service import ROOT, running_service
from bench.table import Figures, Row
from cli.stack import embedded_redis
from shared.jobs.chunks import CHUNK_ITEMS
from shared.settings import load_settings

#: Messages and pictures in each repeat.
MESSAGES, PICTURES = 400, 10_000


def rows(repeats: int, seed_model: Path) -> Iterator[Row]:
    """Measure milliseconds per chunk, with the network of `seed`."""
    with running_service() as service, _celery() as broker:
        service.use(seed_model)
        archive, ours, theirs = files.archive(files.pngs(PICTURES)), [], []
        service.results(service.submit(archive), PICTURES)
        for _ in range(repeats):
            theirs.append(_drain(broker) * 1000)
            begin = time.perf_counter()
            service.results(service.submit(archive), PICTURES)
            ours.append((time.perf_counter() - begin) * 1000 * CHUNK_ITEMS / PICTURES)
    reference = "an empty Celery task"
    yield Row(f"a chunk of {CHUNK_ITEMS}, network of `seed`", Figures(ours, "ms"), reference, Figures(theirs, "ms"))


def _drain(broker: redis.Redis) -> float:
    """Send empty tasks, wait until the last one has run, and return the seconds per task."""
    begin = time.perf_counter()
    for number in range(MESSAGES):
        empty_task.delay(last=number == MESSAGES - 1)
    broker.blpop([DONE], timeout=60)
    return (time.perf_counter() - begin) / MESSAGES


@contextmanager
def _celery() -> Iterator[redis.Redis]:
    """Run a Redis as `up` starts it, and a Celery worker, and yield a client of the Redis."""
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_redis.prepare(load_settings({"DARKROOM_DATA_DIR": folder}))
        os.environ["BENCH_BROKER"] = server.url
        empty_task.app.conf.broker_url = server.url
        worker = [sys.executable, "-m", "celery", "-A", "bench.references.empty_task", "worker", "--concurrency", "1"]
        quiet = subprocess.DEVNULL
        with (
            subprocess.Popen(server.command, cwd=server.folder, stdout=quiet) as redis_process,
            subprocess.Popen(worker, cwd=ROOT, stdout=quiet, stderr=quiet) as celery_process,
            redis.Redis.from_url(server.url) as broker,
        ):
            try:
                yield broker
            finally:
                celery_process.terminate()
                celery_process.wait()
                redis_process.terminate()
