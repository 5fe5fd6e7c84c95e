"""Celery with a task that does nothing; the last one says that it has run."""

from __future__ import annotations

import os

import redis

from shared.jobs.messenger import celery_app

DONE = "done"

app = celery_app(os.environ.get("BENCH_BROKER", ""))


@app.task(ignore_result=True, queue="bulk")
def nothing(*, last: bool) -> None:
    """Nothing, but for the last one."""
    if last:
        redis.Redis.from_url(os.environ["BENCH_BROKER"]).rpush(DONE, 1)
