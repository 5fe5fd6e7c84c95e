"""Training jobs in the job store: claimed under a lease as a chunk is, with rows instead of items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from shared.domain.entities import Failure, Job, JobKind, JobState, Training, new_id
from shared.domain.errors import Conflict, NotFound
from shared.jobs.chunks import LEASE_S
from shared.jobs.records import dump, failure_record, read_job
from shared.jobs.store import job_not_found
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors


class TrainingCommand(StrEnum):
    """What whoever runs a training must do now."""

    CONTINUE = "go_on"
    #: End early, and keep the best model so far.
    FINISH = "finish"
    #: Stop at once, and give the training back: its job is cancelled then.
    CANCEL = "cancel"
    #: Stop at once: the training is somebody else's by now, or its job is gone.
    LOST = "lost"


class TrainingStore:
    """Claims trainings, keeps their rows, and ends them. Every method raises Unavailable where Redis cannot be reached.

    `ChunkStore` renews their leases and gives them back. What is written under a training's `id` counts only while the
    job is in that training's hands.
    """

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def claim(self, worker: str) -> Training | None:
        """The training job that waits longest; None where none does."""
        fence = new_id()
        answer = self._scripts.run("claim_training", fence, worker, LEASE_S * 1000)
        if not answer:
            return None
        job_id, params, request_id = answer
        return Training(fence, job_id, json.loads(params), request_id or None)

    @redis_errors()
    def command(self, training: Training) -> TrainingCommand:
        """What is asked of the training at the moment."""
        holder, ending, finish = self._redis.hmget(keys.job(training.job_id), "holder", "ending", "finish")
        if holder != training.id:
            return TrainingCommand.LOST
        if ending:
            return TrainingCommand.CANCEL
        return TrainingCommand.FINISH if finish else TrainingCommand.CONTINUE

    @redis_errors()
    def add_row(self, training: Training, row: Mapping[str, Any], seconds_left: float) -> bool:
        """Add a row, whose field `n` is its place from 1; False where the training is no longer ours.

        Later rows go: a training that goes on from its checkpoint writes them again.
        """
        fields = (row["n"], dump(row), row["step"], row["steps"], seconds_left)
        return bool(self._scripts.run("add_row", training.job_id, training.id, *fields))

    @redis_errors()
    def rows(self, job_id: str, after: int, limit: int) -> list[dict[str, Any]]:
        """At most `limit` rows behind row `after`, in order. Raises NotFound, and Conflict for another kind of job."""
        self._state(job_id)
        found = self._redis.lrange(keys.job(job_id, "rows"), after, after + limit - 1)
        return [json.loads(row) for row in found]

    @redis_errors()
    def running(self) -> list[tuple[Job, dict[str, Any] | None]]:
        """The jobs whose training a worker has in hand, each with its last row, None where there is none yet."""
        pipeline = self._redis.pipeline(transaction=False)
        for held in self._redis.zrange(keys.LEASES, 0, -1):
            pipeline.hget(keys.chunk(held), "job")
        found = []
        for job_id in pipeline.execute():
            record = self._redis.hgetall(keys.job(job_id)) if job_id else {}
            if record.get("kind") == JobKind.TRAINING:
                row = self._redis.lindex(keys.job(job_id, "rows"), -1)
                found.append((read_job(job_id, record), json.loads(row) if row else None))
        return found

    @redis_errors()
    def finish(self, job_id: str) -> bool:
        """Ask for an early end; False where the job is over. Raises NotFound, and Conflict where it has not begun."""
        state = self._state(job_id)
        if state.done:
            return False
        if state is not JobState.RUNNING:
            raise Conflict(f"job {job_id} is {state}: there is no model to keep yet, it can only be cancelled")
        if self._scripts.run("change", job_id, "HSET", "finish", "1") == "missing":
            raise job_not_found(job_id)
        return True

    @redis_errors()
    def planned_version(self, training: Training) -> str | None:
        """The version that the training was about to publish, where a worker got so far before."""
        version: str | None = self._redis.hget(keys.job(training.job_id), "model")
        return version

    @redis_errors()
    def plan_version(self, training: Training, version: str) -> bool:
        """Note the version that is published next, so that whoever goes on after a crash does not publish another.

        False, and nothing, where the training is no longer ours.
        """
        return bool(self._scripts.run("plan_version", training.job_id, training.id, version))

    @redis_errors()
    def succeed(self, training: Training, version: str, promotion: Mapping[str, Any]) -> bool:
        """End the job with the version it made; False, and nothing, where the training is no longer ours."""
        return self._end(training, JobState.SUCCEEDED, "model", version, "promotion", dump(promotion))

    @redis_errors()
    def fail(self, training: Training, failure: Failure) -> bool:
        """End the job as failed; False, and nothing, where the training is no longer ours."""
        return self._end(training, JobState.FAILED, "failure", dump(failure_record(failure)))

    def _end(self, training: Training, ending: JobState, *fields: str) -> bool:
        return bool(self._scripts.run("end_training", training.job_id, training.id, ending, *fields))

    def _state(self, job_id: str) -> JobState:
        """The job's state. Raises NotFound, and Conflict where it is no training job."""
        kind, state = self._redis.hmget(keys.job(job_id), "kind", "state")
        if kind is None:
            raise NotFound(f"there is no job {job_id}")
        if kind != JobKind.TRAINING:
            raise Conflict(f"job {job_id} trains no model: it is a {kind} job")
        return JobState(state)
