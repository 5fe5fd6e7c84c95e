"""The usual way to make Celery safe: late acknowledgement. Each task writes its number down, once."""

import time

from celery import Celery

from shared.redis.connection import connect
from shared.settings import load_settings

#: Where the tasks write, and the queue that they come from.
DONE, QUEUE = "done", "late"

app = Celery(broker=load_settings().resolved_broker_url())
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)


@app.task(name="write", ignore_result=True)
def write(number: int) -> None:
    """Work, write the number down, and work on until the message is acknowledged."""
    time.sleep(0.02)
    connect(load_settings().resolved_redis_url()).rpush(DONE, number)
    time.sleep(0.02)
