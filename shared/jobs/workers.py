"""The list of live worker processes, kept by their heartbeats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: Seconds without a heartbeat after which a worker counts as dead.
HEARTBEAT_TIMEOUT_S = 10
#: What a worker lacks if it uses another storage than the others.
STORAGE = "storage"


@dataclass(frozen=True)
class Lack:
    """Something that a worker process cannot get: a model version, `cifar10` or `storage`. `since`: epoch seconds."""

    what: str
    reason: str
    since: float


@dataclass(frozen=True)
class Worker:
    """A worker process. `name` is `host:pid:random`; `model` is its loaded champion or None.

    `code` is the version of its code; None if that is too old to say so. `rate` is in pictures per second over the last
    minute. `silent_s` is filled in when it is read: the seconds since its last heartbeat, by Redis's clock.
    """

    name: str
    queues: tuple[str, ...]
    model: str | None
    lacks: tuple[Lack, ...] = ()
    code: str | None = None
    rate: float = 0.0
    silent_s: int = field(default=0, compare=False)

    @property
    def host(self) -> str:
        """Return the name of its machine."""
        return self.name.partition(":")[0]

    def has(self, what: str) -> bool:
        """Return whether the worker can get `what`, as far as it knows."""
        return all(lack.what != what for lack in self.lacks)


class Workers:
    """Heartbeats in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def record_heartbeat(self, worker: Worker) -> None:
        """Record a heartbeat at the time of Redis's clock."""
        record = {**asdict(worker), "at": self._redis.time()[0]}
        self._redis.hset(keys.WORKERS, worker.name, json.dumps(record))

    @redis_errors()
    def remove(self, name: str) -> None:
        """Remove a worker that stops."""
        self._redis.hdel(keys.WORKERS, name)

    @redis_errors()
    def alive(self) -> list[Worker]:
        """Return the live workers and delete the records of dead ones."""
        now = self._redis.time()[0]
        found, lost = [], []
        for name, text in self._redis.hgetall(keys.WORKERS).items():
            record = json.loads(text)
            if abs(now - record["at"]) > HEARTBEAT_TIMEOUT_S:  # in the future: from before Redis's clock was set back
                lost.append(name)
            else:
                lacks = tuple(Lack(**lack) for lack in record.get("lacks", ()))
                queues, code, rate = tuple(record["queues"]), record.get("code"), record.get("rate", 0.0)
                silent_s = max(0, now - record["at"])
                found.append(Worker(record["name"], queues, record["model"], lacks, code, rate, silent_s))
        if lost:
            self._redis.hdel(keys.WORKERS, *lost)
        return found


def queues_without_workers(queues: Sequence[str], workers: Sequence[Worker]) -> list[str]:
    """Return the queues that no worker serves: those with another storage than the others do not work."""
    served = {queue for worker in workers if worker.has(STORAGE) for queue in worker.queues}
    return [queue for queue in queues if queue not in served]
