"""The job store: the single source of truth about jobs and their items. Queue messages only wake workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from shared.domain.entities import (
    CLASSIFICATION_QUEUES,
    LOCAL_OWNER,
    Failure,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    Outcome,
    Queue,
    Upload,
    WebhookTarget,
    new_id,
    queue_for,
)
from shared.domain.errors import Conflict, NotFound, TooManyRequests, Unavailable
from shared.jobs.job_list import read_jobs
from shared.jobs.records import dump, failure_record, outcome_json, read_item, read_job, upload_json
from shared.redis import keys
from shared.redis.connection import FIRST_SCHEMA, WITH_DATASET, WITH_PACKS, Client, Scripts, due, redis_errors
from shared.redis.probe import JOB_STORE_CALLS, probe

#: Share of Redis's memory limit above which no items are accepted. The rest is reserved for results.
MAX_MEMORY_SHARE = 0.8
#: Seconds after a look at Redis's memory in which new jobs need no other. Even at 10,000 items a second, their records
#: add less than 3 MB in this time.
MEMORY_LOOK_S = 0.25
#: `Retry-After` in seconds for an owner with too many unfinished jobs.
QUOTA_RETRY_S = 60
#: Items that one script call adds, ends or queues again: about 10 ms of Redis's time.
SCRIPT_BATCH = 1000


class AddResult(StrEnum):
    """The result of adding one item. DIFFERS: its key exists with other bytes; FULL: the job has no room."""

    ADDED = "added"
    SAME = "same"
    DIFFERS = "differs"
    FULL = "full"


class JobStore:
    """Jobs and their items in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._roomy_until = 0.0

    @redis_errors()
    def ping(self) -> None:
        """Return if Redis responds."""
        self._redis.ping()

    @redis_errors()
    def check(self) -> None:
        """Return if Redis executes every command that Darkroom needs."""
        probe(self._redis, JOB_STORE_CALLS)

    @redis_errors()
    def check_memory(self) -> None:
        """Raise Unavailable if more than MAX_MEMORY_SHARE of Redis's memory limit is used."""
        self._roomy_until = 0.0
        used, limit = self.memory()
        if limit and used > MAX_MEMORY_SHARE * limit:
            raise Unavailable(f"the job store (Redis) is nearly full: {used // 2**20} of {limit // 2**20} MiB are used")
        self._roomy_until = time.monotonic() + MEMORY_LOOK_S

    @redis_errors()
    def memory(self) -> tuple[int, int]:
        """Return the bytes of memory that Redis uses, and its limit or 0."""
        memory = self._redis.info("memory")
        return int(memory["used_memory"]), int(memory["maxmemory"])

    @redis_errors()
    def create(
        self,
        kind: JobKind,
        *,
        retention_s: int,
        owner: str = LOCAL_OWNER,
        max_unfinished: int | None = None,
        request_id: str | None = None,
        classifier: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
        params: dict[str, Any] | None = None,
        metadata: Any = None,
        webhook: WebhookTarget | None = None,
        listed: bool = True,
    ) -> str:
        """Create an open job and return its id. One that is not `listed` stays out of lists until it is sealed.

        Raise TooManyRequests if the owner already has `max_unfinished` unfinished jobs.
        """
        if time.monotonic() > self._roomy_until:
            self.check_memory()
        job_id = new_id()
        record: dict[str, str | int] = {
            "schema": WITH_DATASET if dataset else FIRST_SCHEMA,
            "kind": kind,
            "state": JobState.OPEN,
            "retention_ms": retention_s * 1000,
            "params": dump(params or {}),
            "metadata": dump(metadata),
        }
        optional = {"classifier": classifier, "model": model, "dataset": dataset, "request_id": request_id}
        for name, value in optional.items():
            if value is not None:
                record[name] = value
        if webhook is not None:
            record |= {"webhook": webhook.url, "receiver": webhook.receiver}
        fields = [part for pair in record.items() for part in pair]
        limit = "" if max_unfinished is None else max_unfinished
        if self._scripts.run("create", job_id, "1" if listed else "0", owner, limit, *fields) == "full":
            raise too_many_unfinished(max_unfinished)
        return job_id

    @redis_errors()
    def add(self, job_id: str, uploads: Sequence[Upload], max_items: int) -> list[AddResult]:
        """Add items to an open job and queue them. An upload with a failure is added as a failed item.

        Repeating the call changes nothing. Raise NotFound, or Conflict if the job is sealed.
        """
        results: list[AddResult] = []
        for number, batch in enumerate(_batches(uploads)):
            if number:
                self.check_memory()  # the caller has checked before the first one
            results += map(AddResult, self._add(job_id, batch, max_items, ""))
        return results

    @redis_errors()
    def add_last(self, job_id: str, uploads: Sequence[Upload], max_items: int) -> bool:
        """Add at most SCRIPT_BATCH items as `add` does, and seal the job in the same step. Errors are those of `add`.

        Return whether this woke a worker that lingers.
        """
        return "woken" in self._add(job_id, uploads, max_items, "last")

    @redis_errors()
    def reserve_numbers(self, job_id: str, count: int) -> int:
        """Reserve `count` consecutive numbers for items without keys and return the first. Raise NotFound."""
        return int(self._change(job_id, "HINCRBY", "numbers", count)) - count + 1

    @redis_errors()
    def seal(self, job_id: str) -> None:
        """Close the job to new items; a second call changes nothing. Raise NotFound, or Conflict if it has no items.

        A training job, which has no items, is queued.
        """
        result = self._scripts.run("seal", job_id)
        if result == "missing":
            raise job_not_found(job_id)
        if result == "empty":
            raise Conflict(f"job {job_id} has no items: add some before you seal it, or cancel it")

    def submit_training(self, params: dict[str, Any], metadata: Any = None, **options: Any) -> str:
        """Create and queue a training job and return its id. `options` and errors are those of `create`."""
        job_id = self.create(JobKind.TRAINING, params=params, metadata=metadata, listed=False, **options)
        self.seal(job_id)
        return job_id

    @redis_errors()
    def get(self, job_id: str) -> Job:
        """Return the job, at a cost that does not depend on its number of items. Raise NotFound."""
        record = self._redis.hgetall(keys.job(job_id))
        if not record:
            raise job_not_found(job_id)
        is_queued = "ready" in record
        return read_job(job_id, record, self._position(job_id, JobKind(record["kind"])) if is_queued else None)

    @redis_errors()
    def exists(self, job_id: str) -> bool:
        """Return whether the job exists."""
        return bool(self._redis.exists(keys.job(job_id)))

    @redis_errors()
    def is_done(self, job_id: str) -> bool:
        """Return whether the job has ended. Raise NotFound."""
        state = self._redis.hget(keys.job(job_id), "state")
        if state is None:
            raise job_not_found(job_id)
        return JobState(state).done

    @redis_errors()
    def is_sealed(self, job_id: str) -> bool:
        """Return whether the job accepts no more items. Raise NotFound."""
        state, sealed = self._redis.hmget(keys.job(job_id), "state", "sealed")
        if state is None:
            raise job_not_found(job_id)
        return bool(sealed == "1")

    @redis_errors()
    def queue_of(self, job_id: str) -> Queue:
        """Return the queue whose workers the job needs now. Raise NotFound."""
        kind, total = self._redis.hmget(keys.job(job_id), "kind", "total")
        if kind is None:
            raise job_not_found(job_id)
        return queue_for(JobKind(kind), int(total or 0))

    @redis_errors()
    def owner_and_kind(self, job_id: str) -> tuple[str, str]:
        """Return the job's owner and kind. Raise NotFound."""
        owner, kind = self._redis.hmget(keys.job(job_id), "owner", "kind")
        if kind is None:
            raise job_not_found(job_id)
        return owner or LOCAL_OWNER, kind

    @redis_errors()
    def revision(self, job_id: str) -> int:
        """Return the number that grows with each change of the job's state or counts. Raise NotFound."""
        revision = self._redis.hget(keys.job(job_id), "revision")
        if revision is None:
            raise job_not_found(job_id)
        return int(revision)

    @redis_errors()
    def set_metadata(self, job_id: str, metadata: Any) -> None:
        """Set the job's metadata, any JSON value. Raise NotFound."""
        self._change(job_id, "HSET", "metadata", dump(metadata))

    @redis_errors()
    def set_params(self, job_id: str, params: Mapping[str, Any]) -> None:
        """Set the params of a job that has no items yet. Raise NotFound."""
        self._change(job_id, "HSET", "params", dump(params))

    @redis_errors()
    def pin(self, job_id: str, classifier: str, version: str) -> None:
        """Pin a job that has no items yet to a version of a classifier. Raise NotFound."""
        self._change(job_id, "HSET", "classifier", classifier)
        self._change(job_id, "HSET", "model", version)

    @redis_errors()
    def set_webhook(self, job_id: str, webhook: WebhookTarget) -> None:
        """Set the webhook of a job that is not sealed yet. Raise NotFound."""
        self._change(job_id, "HSET", "webhook", webhook.url)
        self._change(job_id, "HSET", "receiver", webhook.receiver)

    @redis_errors()
    def item(self, job_id: str, key: str) -> Item:
        """Return one item. Raise NotFound."""
        pipeline = self._redis.pipeline(transaction=False)
        for part in ("items", "outcomes", "corrections"):
            pipeline.hget(keys.job(job_id, part), key)
        upload, outcome, correction = pipeline.execute()
        if upload is None:
            raise item_not_found(job_id, key)
        return read_item(key, upload, outcome, correction)

    @redis_errors()
    def cancel(self, job_id: str) -> bool:
        """Cancel pending items; claimed chunks still finish. Return False if the job is finished. Raise NotFound."""
        return self._stop(job_id, ItemState.CANCELLED, "")

    @redis_errors()
    def fail(self, job_id: str, failure: Failure) -> bool:
        """Fail the job and its pending items. Return False if the job is finished. Raise NotFound."""
        return self._stop(job_id, ItemState.FAILED, dump(failure_record(failure)))

    @redis_errors()
    def retryable(self, job_id: str) -> int:
        """Return the number of failed and cancelled items that can be retried."""
        return int(self._redis.scard(keys.job(job_id, "retryable")))

    @redis_errors()
    def retry(self, job_id: str, max_unfinished: int | None = None) -> int:
        """Queue the failed and cancelled items again and return how many.

        Raise NotFound, Conflict if there are none, and TooManyRequests if the owner already has `max_unfinished` jobs.
        """
        count = 0
        while True:
            queued, *left = self._scripts.run(
                "retry", job_id, SCRIPT_BATCH, "" if max_unfinished is None else max_unfinished
            )
            if queued == -1:
                raise job_not_found(job_id)
            if queued == -2:
                raise Conflict(f"job {job_id} is being cancelled: retry it when it is cancelled")
            if queued == -3:
                raise too_many_unfinished(max_unfinished)
            count += int(queued)
            if not left[0]:
                break
        if not count:
            raise Conflict(f"job {job_id} has no failed or cancelled items to retry")
        return count

    @redis_errors()
    def remove(self, job_id: str, *, force: bool = False) -> None:
        """Remove the job; then delete its stored bytes and call `forget`. Raise NotFound, Conflict.

        Unfinished jobs are removed only with `force`.
        """
        result = self._scripts.run("remove", job_id, "1" if force else "0")
        if result == "missing" and self._redis.zscore(keys.REMOVING, job_id) is None:
            raise job_not_found(job_id)
        if result == "busy":
            raise Conflict(f"job {job_id} is unfinished: cancel it before you delete it")

    @redis_errors()
    def forget(self, job_id: str) -> None:
        """Record that the stored bytes of a removed job are deleted."""
        self._redis.zrem(keys.REMOVING, job_id)

    @redis_errors()
    def removing(self) -> list[str]:
        """Return the removed jobs whose stored bytes are still to be deleted, as after a crash."""
        return list(self._redis.zrange(keys.REMOVING, 0, -1))

    @redis_errors()
    def expired(self, limit: int) -> list[Job]:
        """Return at most `limit` expired jobs: abandoned open ones, and finished ones whose retention has ended."""
        ids = due(self._redis, keys.EXPIRING, limit)
        return [job for job in read_jobs(self._redis, ids) if job is not None]

    @redis_errors()
    def is_listed(self, job_id: str) -> bool:
        """Return whether the job appears in lists."""
        return self._redis.zscore(keys.JOBS, job_id) is not None

    def _add(self, job_id: str, uploads: Sequence[Upload], max_items: int, last: str) -> list[str]:
        schema = WITH_PACKS if any(upload.pack for upload in uploads) else FIRST_SCHEMA
        parts = (part for upload in uploads for part in _added(upload))
        words: list[str] = self._scripts.run("add", job_id, max_items, last, schema, *parts)
        if words == ["missing"]:
            raise job_not_found(job_id)
        if words == ["closed"]:
            raise Conflict(f"job {job_id} is sealed: it accepts no more items")
        return words

    def _change(self, job_id: str, command: str, field: str, value: str | int) -> Any:
        result = self._scripts.run("change", job_id, command, field, value)
        if result == "missing":
            raise job_not_found(job_id)
        return result

    def _stop(self, job_id: str, ending: ItemState, failure: str) -> bool:
        stopped = False
        while True:
            left = self._scripts.run("stop", job_id, ending, failure, SCRIPT_BATCH)
            if left == -1:
                raise job_not_found(job_id)
            if left <= 0:
                return stopped or left == 0
            stopped = True

    def _position(self, job_id: str, kind: JobKind) -> int | None:
        """Return the number of jobs queued before this one, or None if it is no longer queued."""
        ahead, pipeline = 0, self._redis.pipeline(transaction=False)
        for queue in [Queue.TRAIN] if kind is JobKind.TRAINING else CLASSIFICATION_QUEUES:
            pipeline.zrank(keys.READY[queue], job_id)
            pipeline.zcard(keys.READY[queue])
        results = pipeline.execute()
        for rank, length in zip(results[::2], results[1::2], strict=True):
            if rank is not None:
                return ahead + int(rank)
            ahead += length
        return None


def job_not_found(job_id: str) -> NotFound:
    """Return the error for an unknown job."""
    return NotFound(f"job {job_id} does not exist")


def too_many_unfinished(limit: int | None) -> TooManyRequests:
    """Return the error for an owner with `limit` unfinished jobs."""
    return TooManyRequests(
        f"this owner has {limit} unfinished jobs: wait for one to finish, or cancel one", QUOTA_RETRY_S
    )


def item_not_found(job_id: str, key: str) -> NotFound:
    """Return the error for an unknown item of a job."""
    return NotFound(f"job {job_id} has no item {key!r}")


def _added(upload: Upload) -> tuple[str, str, str, str]:
    outcome = outcome_json(Outcome(ItemState.FAILED, failure=upload.failure)) if upload.failure else ""
    return upload.key, upload.sha256, upload_json(upload), outcome


def _batches(uploads: Sequence[Upload]) -> Iterator[Sequence[Upload]]:
    for start in range(0, len(uploads), SCRIPT_BATCH):
        yield uploads[start : start + SCRIPT_BATCH]
