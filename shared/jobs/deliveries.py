"""Deliveries: pending webhook calls, each claimed by one sender at a time under a lease."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from shared.domain.entities import Failure, Job, new_id
from shared.domain.errors import NotFound
from shared.jobs.records import dump, read_job
from shared.redis import keys
from shared.redis.connection import KEPT_DELIVERIES, Client, Scripts, now_ms, redis_errors

#: Seconds of a sender's lease on a delivery, enough for one attempt.
LEASE_S = 30


class DeliveryState(StrEnum):
    """The state of a delivery: pending until a receiver has accepted it or the retries have ended."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DeliveryOutcome(StrEnum):
    """The final outcome of a delivery; GONE: the receiver does not accept any other either."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True)
class Attempt:
    """One call of a webhook: its start (s since the epoch), duration, status or None, and failure."""

    at: float
    duration_s: float
    status: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class ClaimedDelivery:
    """A claimed delivery. `job` is the job as it ended, `fence` the fencing token; `attempt_number` counts from 1."""

    id: str
    fence: str
    receiver: str
    url: str
    attempt_number: int
    job: Job


@dataclass(frozen=True)
class Delivery:
    """A webhook call about a finished job. `next_attempt_at` is in seconds since the epoch."""

    id: str
    state: DeliveryState
    job: Job
    attempts: tuple[Attempt, ...]
    next_attempt_at: float | None = None


class DeliveryStore:
    """Deliveries in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def claim(self, busy: Iterable[str] = ()) -> ClaimedDelivery | None:
        """Claim the delivery that has been due longest, of a receiver that is not `busy`; None if there is none."""
        fence = new_id()
        result = self._scripts.run("claim_delivery", fence, LEASE_S * 1000, *busy)
        if not result:
            return None
        delivery_id, receiver, url, *fields = result
        record = dict(zip(fields[::2], fields[1::2], strict=True))
        job = read_job(_job_of(delivery_id), record)
        return ClaimedDelivery(delivery_id, fence, receiver, url, int(record["tries"]), job)

    @redis_errors()
    def end_attempt(
        self, due: ClaimedDelivery, attempt: Attempt, outcome: DeliveryOutcome | None, delay_s: float = 0
    ) -> bool:
        """Record an attempt; without an outcome, the next is due in `delay_s` s. Return False if the lease is lost."""
        return bool(
            self._scripts.run("end_attempt", due.id, due.fence, dump(asdict(attempt)), outcome or "", f"{delay_s:.3f}")
        )

    @redis_errors()
    def overdue_s(self) -> float:
        """Return for how many seconds the oldest due delivery has been waiting, 0 if none is due."""
        first = self._redis.zrange(keys.RECEIVERS, 0, 0, withscores=True)
        return max(0.0, (now_ms(self._redis) - first[0][1]) / 1000) if first else 0.0

    @redis_errors()
    def of_job(self, job: Job) -> list[Delivery]:
        """Return the job's deliveries, newest first."""
        newest = int(self._redis.hget(keys.job(job.id), "deliveries") or 0)
        numbers = range(newest, max(0, newest - KEPT_DELIVERIES), -1)
        found = [self._read(f"{job.id}-{number}") for number in numbers]
        return [delivery for delivery in found if delivery]

    @redis_errors()
    def get(self, delivery_id: str) -> Delivery:
        """Return one delivery. Raise NotFound."""
        delivery = self._read(delivery_id)
        if delivery is None:
            raise _no_delivery(delivery_id)
        return delivery

    @redis_errors()
    def redeliver(self, delivery_id: str) -> None:
        """Schedule a delivery again for now, unless it is being sent. Raise NotFound."""
        if not self._scripts.run("redeliver", delivery_id):
            raise _no_delivery(delivery_id)

    def _read(self, delivery_id: str) -> Delivery | None:
        pipeline = self._redis.pipeline()
        pipeline.hgetall(keys.delivery(delivery_id))
        pipeline.lrange(keys.delivery(delivery_id, "attempts"), 0, -1)
        pipeline.hget(keys.job(_job_of(delivery_id)), "receiver")
        record, attempts, receiver = pipeline.execute()
        if not record or not receiver:
            return None
        due = None if "holder" in record else self._redis.zscore(keys.deliveries(receiver), delivery_id)
        return Delivery(
            delivery_id,
            DeliveryState(record.get("outcome", DeliveryState.PENDING)),
            read_job(_job_of(delivery_id), record),
            tuple(_read_attempt(json.loads(attempt)) for attempt in attempts),
            None if due is None else due / 1000,
        )


def _read_attempt(record: dict[str, Any]) -> Attempt:
    failure = record.pop("failure")
    return Attempt(**record, failure=Failure(**failure) if failure else None)


def _job_of(delivery_id: str) -> str:
    return delivery_id.partition("-")[0]


def _no_delivery(delivery_id: str) -> NotFound:
    return NotFound(f"delivery {delivery_id[:64]} does not exist")
