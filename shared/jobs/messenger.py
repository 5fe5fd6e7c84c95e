"""The Celery queues and their messages. A message only wakes a worker; the work itself is in the job store.

So a lost, duplicate or late message costs only time: the reconciler wakes workers again.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu.entity import Exchange
from kombu.entity import Queue as MessageQueue
from kombu.exceptions import OperationalError
from redis import RedisError

from shared.domain.entities import Queue
from shared.domain.errors import Unavailable
from shared.jobs.chunks import CHUNK_ITEMS
from shared.logs import with_cause
from shared.redis.connection import BROKER, connect, redis_errors
from shared.redis.probe import BROKER_CALLS, probe
from shared.redis.sentinels import celery_options, tls_options
from shared.redis.urls import for_celery, primary

log = logging.getLogger(__name__)

#: Environment variables of Celery, which may belong to another program of the same person.
CELERY_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
#: The task that claims and classifies one chunk, and the one that claims and runs one training.
CLASSIFY, TRAIN = "darkroom.classify", "darkroom.train"
#: Seconds after which the process of a chunk is killed, since a decoder may hang. A chunk takes about one second.
#: A training has no limit: its owner can cancel it.
CLASSIFY_TIMEOUT_S = 60
#: Maximum messages per queue: enough to wake every worker, and too few to need monitoring.
MAX_MESSAGES = 32
#: Timeout of sending a message, in seconds: the API must respond within 5.
SEND_TIMEOUT_S = 2.0


def celery_app(broker_url: str) -> Celery:
    """Return a Celery app, which connects to the broker on first use.

    Celery's own variables are removed from the environment: it would prefer them to `broker_url`.
    """
    named = primary(broker_url)
    for name in CELERY_VARIABLES:
        os.environ.pop(name, None)
    app = Celery("darkroom", broker=for_celery(broker_url), set_as_current=False)
    app.conf.update(
        task_queues=[MessageQueue(name, Exchange(name), routing_key=name) for name in Queue],
        task_create_missing_queues=False,  # a misspelt queue is an error, not a new queue without consumers
        task_default_queue=Queue.BULK,
        task_serializer="json",
        accept_content=["json"],  # a message can never run code
        task_ignore_result=True,  # the job store holds the results
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,  # with late acks a 5.7.0 worker exits when the broker restarts; leases protect the work
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a prefetched message is stuck behind its busy worker, or lost with it
        worker_cancel_long_running_tasks_on_connection_loss=False,  # True kills the worker
        broker_connection_max_retries=None,  # a worker survives any outage of the broker
        broker_connection_retry_on_startup=True,
        broker_channel_error_retry=True,  # also while Redis refuses writes
        worker_soft_shutdown_timeout=5,  # the current chunk is finished, and no other is claimed
        worker_proc_alive_timeout=120,  # a process is up after it has loaded its model
        worker_send_task_events=False,  # unused
        worker_enable_remote_control=False,  # no broadcast queues; our heartbeats list the workers
        broker_transport_options={
            "queue_order_strategy": "priority",  # interactive before bulk, in the order of the worker's -Q
            "visibility_timeout": 3600,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            **(celery_options(named) if named else {}),
        },
        **({"broker_use_ssl": tls_options(named)} if named and named.tls is not None else {}),
    )
    return app


class Messenger:
    """A sender of the messages that wake workers."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app(broker_url)
        self._app.conf.broker_transport_options |= {
            "socket_timeout": SEND_TIMEOUT_S,
            "socket_connect_timeout": SEND_TIMEOUT_S / 2,
        }
        self._redis = connect(broker_url)

    def wake_workers(self, queue: Queue, messages: int = 1) -> int:
        """Send at most `messages` messages, up to MAX_MESSAGES in the queue, and return how many. Raise Unavailable."""
        count = max(0, min(messages, MAX_MESSAGES - self.message_count(queue)))
        self._send(queue, count)
        return count

    def wake_for_items(self, queue: Queue, items: int) -> None:
        """Let enough messages for these new items wait: if some do already, no idle worker is left without one.

        If Redis cannot be reached, the reconciler wakes workers later.
        """
        try:
            wanted = min(MAX_MESSAGES, math.ceil(items / CHUNK_ITEMS))
            self._send(queue, wanted - self.message_count(queue))
        except Unavailable as error:
            log.warning("no worker of queue %s was woken, the reconciler will wake one: %s", queue, with_cause(error))

    def message_count(self, queue: Queue) -> int:
        """Return the number of messages in the queue. Raise Unavailable."""
        with redis_errors(BROKER):
            return int(self._redis.llen(queue))

    def _send(self, queue: Queue, messages: int) -> None:
        task = TRAIN if queue is Queue.TRAIN else CLASSIFY
        with broker_errors():
            for _ in range(messages):
                self._app.send_task(task, queue=queue, retry=False, ignore_result=True)

    def check(self) -> None:
        """Return if Redis executes every command that Celery needs. Raise Unavailable."""
        with redis_errors(BROKER):
            probe(self._redis, BROKER_CALLS)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._app.close()


@contextmanager
def broker_errors() -> Iterator[None]:
    """Translate the errors of kombu, which wraps those of redis-py or not, to Unavailable."""
    with redis_errors(BROKER):
        try:
            yield
        except (OperationalError, OSError) as error:
            if isinstance(error.__cause__, RedisError):
                raise error.__cause__ from error
            raise Unavailable(f"{BROKER} cannot be reached") from error
