"""A Celery app with an empty task; the last task reports that it has run."""

from __future__ import annotations

import os

import redis

from shared.jobs.messenger import celery_app

DONE = "done"

app = celery_app(os.environ.get("BENCH_BROKER", ""))


@app.task(ignore_result=True, queue="bulk")
def empty_task(*, last: bool) -> None:
    """Do nothing; the last task pushes to DONE."""
    if last:
        redis.Redis.from_url(os.environ["BENCH_BROKER"]).rpush(DONE, 1)
