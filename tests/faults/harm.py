"""Faults of a running service. A job survives each of them without help."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psutil
import redis

from shared.domain.entities import Queue
from shared.jobs.messenger import Messenger
from tests.faults.kit import Arena

#: Seconds after which a stopped worker has lost its lease, see `shared.jobs.chunks.LEASE_S`.
STALL_S = 14


def kill_worker_in_work(arena: Arena, _chance: random.Random) -> None:
    """Kill a process that holds a chunk."""
    kill(arena.worker_in_work()[0])


def kill_worker_parent(arena: Arena, _chance: random.Random) -> None:
    """Kill the parent of the processes that classify."""
    kill(arena.process("classify-bulk"))


def kill_every_worker(arena: Arena, _chance: random.Random) -> None:
    """Kill all worker processes and their parents at once."""
    families = [arena.family(name) for name in ("classify-bulk", "classify-interactive", "train")]
    for process in itertools.chain.from_iterable(families):
        kill(process)


def kill_reconciler(arena: Arena, _chance: random.Random) -> None:
    """Kill the reconciler, and a worker whose chunk it would have recovered."""
    kill(arena.worker_in_work()[0])
    kill(arena.process("reconcile"))


def kill_redis(arena: Arena, _chance: random.Random) -> None:
    """Kill Redis."""
    kill(arena.process("redis"))


def kill_web(arena: Arena, chance: random.Random) -> None:
    """Kill a process of the web server or their parent."""
    kill(chance.choice(arena.family("web")))


def empty_broker(arena: Arena, _chance: random.Random) -> None:
    """Delete all messages and everything else in the broker."""
    with contextlib.suppress(redis.RedisError), arena.broker() as client:
        client.flushdb()


def stall_worker(arena: Arena, _chance: random.Random) -> None:
    """Stop a worker that holds a chunk for longer than its lease, then let it continue."""
    while True:
        worker, chunk = arena.worker_in_work()
        with contextlib.suppress(psutil.NoSuchProcess, redis.RedisError):
            worker.suspend()
            try:
                if arena.holds(chunk):
                    time.sleep(STALL_S)
                    return
            finally:
                worker.resume()


@contextmanager
def paused(arena: Arena) -> Iterator[None]:
    """Stop the worker of big jobs while the block runs, so that posted jobs wait."""
    family = arena.family("classify-bulk")
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def send_to_a_stopped_worker(arena: Arena) -> int:
    """Stop the worker of big jobs and send it a message that Redis delivers; return how many tries this took.

    The worker polls Redis for a second at a time. The message must arrive within such a second.
    """
    worker, messenger = arena.process("classify-bulk"), Messenger(arena.broker_url())
    with closing(messenger), arena.broker() as broker:
        for number in itertools.count(1):
            worker.suspend()
            messenger.wake_workers(Queue.BULK)
            if not broker.llen(Queue.BULK):
                return number
            broker.delete(Queue.BULK)
            worker.resume()
            time.sleep(0.1)
    raise AssertionError


def kill(process: psutil.Process) -> None:
    """Kill the process if it still runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


Fault = Callable[[Arena, random.Random], None]
#: Every fault that a job survives without help.
FAULTS: tuple[Fault, ...] = (
    kill_worker_in_work,
    kill_worker_parent,
    kill_every_worker,
    kill_reconciler,
    kill_redis,
    kill_web,
    empty_broker,
    stall_worker,
)
