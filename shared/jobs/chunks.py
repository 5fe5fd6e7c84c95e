"""Chunks: items that a worker has claimed under a lease. The chunk's id is the fencing token of its commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.domain.entities import Chunk, Failure, ItemState, Outcome, Queue, new_id
from shared.jobs.records import SCORE_DECIMALS, dump, failure_record, outcome_json, read_upload
from shared.redis import keys
from shared.redis.connection import Client, Scripts, now_ms, redis_errors

#: Under what unknown items are counted, instead of the index of a label; `correct.lua` has the same.
UNKNOWN = "unknown"
#: Seconds until a lease expires without a heartbeat. A lost chunk is released after this plus one reconciler round.
LEASE_S = 10
#: Seconds between heartbeats: three may get lost.
HEARTBEAT_S = 2.5
#: Seconds by which Redis's clock may be set back without ending a lease. After a greater step, older leases would end
#: more than LEASE_S and this in the future; they count as expired.
CLOCK_STEP_S = 5
#: Maximum items and bytes of uploads per chunk: about a second of work, so that jobs alternate, a cancelled job stops
#: soon and a small job does not wait long.
CHUNK_ITEMS, CHUNK_BYTES = 256, 32 * 1024 * 1024
#: Chunks that are claimed together at most, jobs of one small picture, and bytes of each. A batch of the network has as
#: many rows. A photo is not small: it takes long to decode, and the others would wait for it.
TOGETHER, TOGETHER_BYTES = 32, 256 * 1024
#: Share of the waiting jobs that one process claims together: the rest is for the others.
TOGETHER_SHARE = 0.5
#: Items per chunk among those whose worker died once. After a second death each item gets its own chunk.
SUSPECT_ITEMS = 16
#: Worker deaths after which an item fails; in the last two it was alone in its chunk. One of these may be a coincidence
#: if workers are killed often.
MAX_DEATHS = 4
CRASHED = Outcome(
    ItemState.FAILED, failure=Failure("crashed", f"{MAX_DEATHS} workers died while classifying this image")
)
CRASHED_TRAINING = Failure("crashed", f"{MAX_DEATHS} workers died during this training without progress")


class ChunkStore:
    """Claimed chunks in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    def claim(
        self, worker: str, queues: Sequence[Queue], *, max_items: int = CHUNK_ITEMS, except_models: Sequence[str] = ()
    ) -> Chunk | None:
        """Claim the next items of the job whose turn it is, from the first queue with a job; None if there is none.

        Jobs of `except_models`, which the worker cannot load, keep their turn for other workers.
        """
        chunks = self.claim_together(worker, queues, most=1, max_items=max_items, except_models=except_models)
        return chunks[0] if chunks else None

    @redis_errors()
    def claim_together(
        self,
        worker: str,
        queues: Sequence[Queue],
        *,
        most: int = TOGETHER,
        max_items: int = CHUNK_ITEMS,
        except_models: Sequence[str] = (),
    ) -> list[Chunk]:
        """Claim as `claim`; if that is a job of one small picture, also those behind it, at most `most` chunks.

        All have the same model. Each is a chunk of its own: its lease is renewed, and it is committed or released, by
        itself.
        """
        ids = [new_id() for _ in range(most)]
        names = [keys.READY[queue] for queue in queues]
        limits = max_items, SUSPECT_ITEMS, CHUNK_BYTES, TOGETHER_BYTES, TOGETHER_SHARE
        models: list[str | int] = [len(except_models), *except_models]
        answers = self._scripts.run("claim", worker, LEASE_S * 1000, *limits, *models, len(names), *names, *ids)
        return [_read_chunk(answer) for answer in answers]

    @redis_errors()
    def linger(self, worker: str, seconds: float) -> bool:
        """Wait for a new small job, which needs no message then; for less than RESPONSE_TIMEOUT_S.

        Return False if none came, or if one is waiting already.
        """
        if not self._scripts.run("linger", worker, int(seconds * 1000)):
            return False
        woken = self._redis.blpop(keys.wake(worker), seconds)
        return bool(woken) or not self._redis.zrem(keys.LINGERING, worker)  # it was woken just after that time

    @redis_errors()
    def renew(self, chunk_id: str) -> bool:
        """Renew the lease of a chunk or training. Return False if it is lost."""
        return bool(self._scripts.run("renew", chunk_id, LEASE_S * 1000))

    def commit(self, chunk: Chunk, outcomes: Mapping[str, Outcome]) -> bool:
        """Commit the outcome of each item of the chunk, by key, in one step. Return False, without any change, if the
        lease is lost.

        A repeated call within a minute changes nothing and returns the same.

        Raise ValueError if `outcomes` does not have exactly the chunk's items, or a score is not a probability.
        """
        return self.commit_all([(chunk, outcomes)])[0]

    @redis_errors()
    def commit_all(self, ended: Sequence[tuple[Chunk, Mapping[str, Outcome]]]) -> list[bool]:
        """Commit several chunks as `commit` does, each by itself, in one call; return what it returns for each."""
        parts = [part for chunk, outcomes in ended for part in _chunk_args(chunk, outcomes)]
        return [word == "committed" for word in self._scripts.run("commit", *parts)]

    @redis_errors()
    def release(self, chunk_id: str, *, died: bool = False) -> int:
        """Return the items of a chunk, or a training, to its job, and return their number.

        `died` counts a worker death against each; at MAX_DEATHS it fails.
        """
        deaths, crashed = MAX_DEATHS if died else 0, outcome_json(CRASHED)
        return int(self._scripts.run("release", chunk_id, deaths, crashed, dump(failure_record(CRASHED_TRAINING))))

    @redis_errors()
    def expired_leases(self, limit: int) -> list[str]:
        """Return at most `limit` ids of chunks and trainings whose lease has expired."""
        if not self._redis.exists(keys.LEASES):
            return []
        now = now_ms(self._redis)
        spans = ("-inf", now), (now + (LEASE_S + CLOCK_STEP_S) * 1000, "+inf")
        found = [self._redis.zrangebyscore(keys.LEASES, *span, start=0, num=limit) for span in spans]
        return [chunk for chunks in found for chunk in chunks][:limit]

    @redis_errors()
    def backlog(self) -> dict[Queue, int]:
        """Return the number of waiting jobs of each queue."""
        pipeline = self._redis.pipeline(transaction=False)
        for ring in keys.READY.values():
            pipeline.zcard(ring)
        return dict(zip(map(Queue, keys.READY), pipeline.execute(), strict=True))


def _read_chunk(answer: Sequence[str]) -> Chunk:
    chunk, job_id, model, dataset, request_id, waited_ms, *records = answer
    uploads = tuple(read_upload(key, record)[0] for key, record in zip(records[::2], records[1::2], strict=True))
    return Chunk(chunk, job_id, model, uploads, request_id or None, int(waited_ms) / 1000, dataset or None)


def _chunk_args(chunk: Chunk, outcomes: Mapping[str, Outcome]) -> list[str | int]:
    if outcomes.keys() != {upload.key for upload in chunk.uploads}:
        raise ValueError("`outcomes` must have exactly the items of the chunk")
    items = [part for key, outcome in outcomes.items() for part in _commit_args(key, outcome)]
    return [chunk.id, len(outcomes), *items]


def _commit_args(key: str, outcome: Outcome) -> tuple[str, str, str, str, str]:
    if not all(0 <= round(prediction.score, SCORE_DECIMALS) <= 1 for prediction in outcome.predictions):
        raise ValueError(f"item {key!r} has a score that is not a probability")
    best = outcome.best
    score = f"{best.score:.6f}" if best else ""
    label = UNKNOWN if outcome.unknown else str(best.index) if best else ""
    return key, outcome.state, outcome_json(outcome), score, label
