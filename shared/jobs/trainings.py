"""Training jobs in the job store: claimed under a lease like chunks, with progress rows instead of items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from shared.domain.entities import Failure, Job, JobKind, JobState, Training, new_id
from shared.domain.errors import Conflict
from shared.jobs.chunks import LEASE_S
from shared.jobs.records import dump, failure_record, read_job
from shared.jobs.store import job_not_found
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors


class TrainingCommand(StrEnum):
    """What the process of a training must do now."""

    CONTINUE = "go_on"
    #: Finish early and keep the best model so far.
    FINISH = "finish"
    #: Stop now and release the training, whose job is then cancelled.
    CANCEL = "cancel"
    #: Stop now: the lease is lost, or the job does not exist.
    LOST = "lost"


class TrainingStore:
    """Trainings in Redis. Every method raises Unavailable if Redis cannot be reached.

    `ChunkStore` renews and releases their leases. A training's `id` is its fencing token: without the lease nothing is
    written.
    """

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def claim(self, worker: str) -> Training | None:
        """Claim the training job that has waited longest. Return None if none is waiting."""
        fence = new_id()
        result = self._scripts.run("claim_training", fence, worker, LEASE_S * 1000)
        if not result:
            return None
        job_id, params, request_id, dataset = result
        return Training(fence, job_id, json.loads(params), request_id or None, dataset or None)

    @redis_errors()
    def command(self, training: Training) -> TrainingCommand:
        """Return what the training must do now."""
        holder, ending, finish = self._redis.hmget(keys.job(training.job_id), "holder", "ending", "finish")
        if holder != training.id:
            return TrainingCommand.LOST
        if ending:
            return TrainingCommand.CANCEL
        return TrainingCommand.FINISH if finish else TrainingCommand.CONTINUE

    @redis_errors()
    def add_row(
        self, training: Training, row: Mapping[str, Any], seconds_left: float, *, is_last: bool = False
    ) -> bool:
        """Add a row, whose field `n` counts from 1. Return False if the lease is lost.

        Later rows are deleted: a training that resumes from its checkpoint writes them again. After one that `is_last`,
        no steps are left, even if the training ended early.
        """
        fields = (row["n"], dump(row), row["step"], row["step" if is_last else "steps"], seconds_left)
        return bool(self._scripts.run("add_row", training.job_id, training.id, *fields))

    @redis_errors()
    def rows(self, job_id: str, after: int, limit: int) -> list[dict[str, Any]]:
        """Return at most `limit` rows after row `after`. Raise NotFound, or Conflict if it is not a training job."""
        self._state(job_id)
        found = self._redis.lrange(keys.job(job_id, "rows"), after, after + limit - 1)
        return [json.loads(row) for row in found]

    @redis_errors()
    def running(self) -> list[tuple[Job, dict[str, Any] | None]]:
        """Return the jobs of all claimed trainings, each with its last row or None."""
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
        """Request an early finish. Return False if the job is finished. Raise NotFound, or Conflict if not running."""
        state = self._state(job_id)
        if state.done:
            return False
        if state is not JobState.RUNNING:
            raise Conflict(f"job {job_id} is {state} and has no model to keep yet: cancel it instead")
        if self._scripts.run("change", job_id, "HSET", "finish", "1") == "missing":
            raise job_not_found(job_id)
        return True

    @redis_errors()
    def planned_version(self, training: Training) -> str | None:
        """Return the version that an earlier worker of this training was about to publish, or None."""
        version: str | None = self._redis.hget(keys.job(training.job_id), "model")
        return version

    @redis_errors()
    def plan_version(self, training: Training, version: str) -> bool:
        """Record the version that is about to be published, so that a worker after a crash does not publish another.

        Return False, without any change, if the lease is lost.
        """
        return bool(self._scripts.run("plan_version", training.job_id, training.id, version))

    @redis_errors()
    def succeed(self, training: Training, version: str, promotion: Mapping[str, Any]) -> bool:
        """End the job with its published version. Return False, without any change, if the lease is lost."""
        return self._end(training, JobState.SUCCEEDED, "model", version, "promotion", dump(promotion))

    @redis_errors()
    def fail(self, training: Training, failure: Failure) -> bool:
        """End the job as failed. Return False, without any change, if the lease is lost."""
        return self._end(training, JobState.FAILED, "failure", dump(failure_record(failure)))

    def _end(self, training: Training, ending: JobState, *fields: str) -> bool:
        return bool(self._scripts.run("end_training", training.job_id, training.id, ending, *fields))

    def _state(self, job_id: str) -> JobState:
        """Return the job's state. Raise NotFound, or Conflict if it is not a training job."""
        kind, state = self._redis.hmget(keys.job(job_id), "kind", "state")
        if kind is None:
            raise job_not_found(job_id)
        if kind != JobKind.TRAINING:
            raise Conflict(f"job {job_id} is a {kind} job, not a training job")
        return JobState(state)
