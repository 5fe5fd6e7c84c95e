"""A Celery app with late acknowledgement, the usual way to make tasks safe. Each task records its number once."""

import time

from celery import Celery

from shared.redis.connection import connect
from shared.settings import load_settings

#: The list that tasks write to, and their queue.
DONE, QUEUE = "done", "late"

app = Celery(broker=load_settings().resolved_broker_url())
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)


@app.task(name="write", ignore_result=True)
def write(number: int) -> None:
    """Work, record the number, and work on until the message is acknowledged."""
    time.sleep(0.02)
    connect(load_settings().resolved_redis_url()).rpush(DONE, number)
    time.sleep(0.02)
