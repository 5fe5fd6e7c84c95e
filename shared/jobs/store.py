"""The job store: the only truth about jobs and their items. The queue merely wakes workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from shared.redis.connection import SCHEMA, Client, Scripts, now_ms, redis_errors

#: Share of Redis's memory above which nothing more is accepted; the rest is for the results of what was.
MAX_MEMORY_SHARE = 0.8
#: Seconds after which an owner with too many jobs may try again: one may be over then.
QUOTA_RETRY_S = 60
#: Items that one call of a script may add, end or queue again: some 10 ms of Redis's time.
SCRIPT_BATCH = 1000


class AddResult(StrEnum):
    """What became of one item that was to be added."""

    ADDED = "added"
    SAME = "same"
    DIFFERS = "differs"
    FULL = "full"


class JobStore:
    """Jobs and their items in Redis. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def ping(self) -> None:
        """Return if Redis answers."""
        self._redis.ping()

    @redis_errors()
    def check_memory(self) -> None:
        """Raise Unavailable where Redis has a limit of memory and is so full that results might find no place."""
        used, limit = self.memory()
        if limit and used > MAX_MEMORY_SHARE * limit:
            raise Unavailable(f"the job store (Redis) is nearly full: {used // 2**20} of {limit // 2**20} MiB are used")

    @redis_errors()
    def memory(self) -> tuple[int, int]:
        """The bytes that Redis has taken, and its limit; 0 where it has none."""
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
        model: str | None = None,
        params: dict[str, Any] | None = None,
        metadata: Any = None,
        webhook: WebhookTarget | None = None,
        listed: bool = True,
    ) -> str:
        """Make an open job and return its id. One that is not `listed` stays out of lists until it is sealed.

        Raises TooManyRequests where the owner has `max_unfinished` jobs that are not over.
        """
        self.check_memory()
        job_id = new_id()
        record: dict[str, str | int] = {
            "schema": SCHEMA,
            "kind": kind,
            "state": JobState.OPEN,
            "retention_ms": retention_s * 1000,
            "params": dump(params or {}),
            "metadata": dump(metadata),
        }
        for name, value in (("model", model), ("request_id", request_id)):
            if value is not None:
                record[name] = value
        if webhook is not None:
            record |= {"webhook": webhook.url, "receiver": webhook.receiver}
        fields = [part for pair in record.items() for part in pair]
        most = "" if max_unfinished is None else max_unfinished
        if self._scripts.run("create", job_id, "1" if listed else "0", owner, most, *fields) == "full":
            raise too_many_unfinished(max_unfinished)
        return job_id

    @redis_errors()
    def add(self, job_id: str, uploads: Sequence[Upload], max_items: int) -> list[AddResult]:
        """Add items to an open job and let it wait for workers; an upload with a failure is added as failed.

        Repeating the call changes nothing. Raises NotFound, and Conflict where the job is sealed.
        """
        answers: list[AddResult] = []
        for number, batch in enumerate(_batches(uploads)):
            if number:
                self.check_memory()  # the caller has checked before the first one
            words = self._scripts.run("add", job_id, max_items, *(part for upload in batch for part in _added(upload)))
            if words == ["missing"]:
                raise job_not_found(job_id)
            if words == ["closed"]:
                raise Conflict(f"job {job_id} is sealed: it takes no more items")
            answers += [AddResult(word) for word in words]
        return answers

    @redis_errors()
    def reserve_numbers(self, job_id: str, count: int) -> int:
        """The first of `count` numbers that nobody else gets, for items that come without a key. Raises NotFound."""
        return int(self._change(job_id, "HINCRBY", "numbers", count)) - count + 1

    @redis_errors()
    def seal(self, job_id: str) -> None:
        """No more items. Raises NotFound, and Conflict where there are none; a second call changes nothing.

        A training job, which has none, begins to wait for its worker.
        """
        answer = self._scripts.run("seal", job_id)
        if answer == "missing":
            raise job_not_found(job_id)
        if answer == "empty":
            raise Conflict(f"job {job_id} has no items: add some before it is sealed, or cancel it")

    def submit_training(
        self,
        params: dict[str, Any],
        metadata: Any = None,
        *,
        retention_s: int,
        owner: str = LOCAL_OWNER,
        max_unfinished: int | None = None,
        request_id: str | None = None,
        webhook: WebhookTarget | None = None,
    ) -> str:
        """Make a training job that waits for its worker, and return its id."""
        job_id = self.create(
            JobKind.TRAINING,
            retention_s=retention_s,
            owner=owner,
            max_unfinished=max_unfinished,
            request_id=request_id,
            params=params,
            metadata=metadata,
            webhook=webhook,
            listed=False,
        )
        self.seal(job_id)
        return job_id

    @redis_errors()
    def get(self, job_id: str) -> Job:
        """The job, at a cost that does not depend on its items. Raises NotFound."""
        record = self._redis.hgetall(keys.job(job_id))
        if not record:
            raise job_not_found(job_id)
        waits = "ready" in record
        return read_job(job_id, record, self._position(job_id, JobKind(record["kind"])) if waits else None)

    @redis_errors()
    def exists(self, job_id: str) -> bool:
        """Whether there is such a job."""
        return bool(self._redis.exists(keys.job(job_id)))

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
        """Whose job it is, and its kind. Raises NotFound."""
        owner, kind = self._redis.hmget(keys.job(job_id), "owner", "kind")
        if kind is None:
            raise job_not_found(job_id)
        return owner or LOCAL_OWNER, kind

    @redis_errors()
    def revision(self, job_id: str) -> int:
        """The number that grows with every change of the job's state or counts. Raises NotFound."""
        revision = self._redis.hget(keys.job(job_id), "revision")
        if revision is None:
            raise job_not_found(job_id)
        return int(revision)

    @redis_errors()
    def set_metadata(self, job_id: str, metadata: Any) -> None:
        """Set the job's metadata, any JSON value. Raises NotFound."""
        self._change(job_id, "HSET", "metadata", dump(metadata))

    @redis_errors()
    def set_webhook(self, job_id: str, webhook: WebhookTarget) -> None:
        """Let the webhook be called at the end of a job that is not sealed yet. Raises NotFound."""
        self._change(job_id, "HSET", "webhook", webhook.url)
        self._change(job_id, "HSET", "receiver", webhook.receiver)

    @redis_errors()
    def item(self, job_id: str, key: str) -> Item:
        """One item. Raises NotFound."""
        pipeline = self._redis.pipeline(transaction=False)
        for part in ("items", "outcomes", "corrections"):
            pipeline.hget(keys.job(job_id, part), key)
        upload, outcome, correction = pipeline.execute()
        if upload is None:
            raise item_not_found(job_id, key)
        return read_item(key, upload, outcome, correction)

    @redis_errors()
    def cancel(self, job_id: str) -> bool:
        """End all waiting items as cancelled; chunks in hand finish. False where the job is over. Raises NotFound."""
        return self._stop(job_id, ItemState.CANCELLED, "")

    @redis_errors()
    def fail(self, job_id: str, failure: Failure) -> bool:
        """End the job and its waiting items as failed. False where the job is over. Raises NotFound."""
        return self._stop(job_id, ItemState.FAILED, dump(failure_record(failure)))

    @redis_errors()
    def retryable(self, job_id: str) -> int:
        """How many failed and cancelled items can be queued again."""
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
                raise Conflict(f"job {job_id} is being cancelled: retry it when that is done")
            if queued == -3:
                raise too_many_unfinished(max_unfinished)
            count += int(queued)
            if not left[0]:
                break
        if not count:
            raise Conflict(f"job {job_id} has no failed or cancelled items whose bytes are stored")
        return count

    @redis_errors()
    def remove(self, job_id: str, *, force: bool = False) -> None:
        """Take the job out of sight; its bytes are removed next, then `forget` it. Raises NotFound, Conflict."""
        answer = self._scripts.run("remove", job_id, "1" if force else "0")
        if answer == "missing" and self._redis.zscore(keys.REMOVING, job_id) is None:
            raise job_not_found(job_id)
        if answer == "busy":
            raise Conflict(f"job {job_id} is not over: cancel it before it is deleted")

    @redis_errors()
    def forget(self, job_id: str) -> None:
        """The job's bytes are removed: drop the last trace of it."""
        self._redis.zrem(keys.REMOVING, job_id)

    @redis_errors()
    def removing(self) -> list[str]:
        """Jobs whose bytes are still to be removed, for whoever goes on after a crash."""
        return list(self._redis.zrange(keys.REMOVING, 0, -1))

    @redis_errors()
    def expired(self, limit: int) -> list[Job]:
        """Jobs whose time is over: open ones that were given up, and done ones whose retention has ended."""
        ids = self._redis.zrangebyscore(keys.EXPIRING, "-inf", now_ms(self._redis), start=0, num=limit)
        return [job for job in read_jobs(self._redis, ids) if job is not None]

    @redis_errors()
    def is_listed(self, job_id: str) -> bool:
        """Whether the job appears in lists."""
        return self._redis.zscore(keys.JOBS, job_id) is not None

    def _change(self, job_id: str, command: str, field: str, value: str | int) -> Any:
        answer = self._scripts.run("change", job_id, command, field, value)
        if answer == "missing":
            raise job_not_found(job_id)
        return answer

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
        """How many jobs wait in front of this one, None where it waits no more."""
        ahead, pipeline = 0, self._redis.pipeline(transaction=False)
        for queue in [Queue.TRAIN] if kind is JobKind.TRAINING else CLASSIFICATION_QUEUES:
            pipeline.zrank(keys.READY[queue], job_id)
            pipeline.zcard(keys.READY[queue])
        answers = pipeline.execute()
        for place, length in zip(answers[::2], answers[1::2], strict=True):
            if place is not None:
                return ahead + int(place)
            ahead += length
        return None


def job_not_found(job_id: str) -> NotFound:
    """The error for an id that no job has."""
    return NotFound(f"there is no job {job_id}")


def too_many_unfinished(most: int | None) -> TooManyRequests:
    """The error for an owner who has `most` jobs that are not over."""
    return TooManyRequests(f"{most} jobs of this owner are not over: wait for one, or cancel it", QUOTA_RETRY_S)


def item_not_found(job_id: str, key: str) -> NotFound:
    """The error for a key that no item of the job has."""
    return NotFound(f"job {job_id} has no item {key!r}")


def _added(upload: Upload) -> tuple[str, str, str, str]:
    outcome = outcome_json(Outcome(ItemState.FAILED, failure=upload.failure)) if upload.failure else ""
    return upload.key, upload.sha256, upload_json(upload), outcome


def _batches(uploads: Sequence[Upload]) -> Iterator[Sequence[Upload]]:
    for start in range(0, len(uploads), SCRIPT_BATCH):
        yield uploads[start : start + SCRIPT_BATCH]
