"""Chunks: what a worker has claimed, under a lease. The chunk's id is the fence: without it nothing is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.entities import Chunk, Failure, ItemState, Outcome, Queue, new_id
from shared.jobs.records import SCORE_DECIMALS, dump, failure_record, outcome_json, read_upload
from shared.redis import keys
from shared.redis.connection import Client, Scripts, now_ms, redis_errors

#: Seconds that a claim holds without a sign of life. A lost chunk is back after at most this and one sweep.
LEASE_S = 10
#: Seconds between signs of life: three may get lost.
HEARTBEAT_S = 2.5
#: Seconds by which Redis's clock may be set back without any lease being ended by it. After a greater step all leases
#: from before would last for longer than LEASE_S and this, and count as run out.
STEP_S = 5
#: Items in one chunk, and bytes of uploads: what a worker does in about a second, so that jobs take turns,
#: a cancelled job stops soon, and a small job does not wait long behind it.
CHUNK_ITEMS, CHUNK_BYTES = 256, 32 * 1024 * 1024
#: Items in one chunk, of those that were in hand when a worker died. After a second death each goes alone.
SUSPECT_ITEMS = 16
#: Deaths of a worker with the item in hand after which the item is given up: at two of them it was alone. One such may
#: be chance, where workers are killed all the time.
MAX_DEATHS = 4
CRASHED = Outcome(
    ItemState.FAILED, failure=Failure("crashed", f"{MAX_DEATHS} workers died while they worked on this picture")
)
CRASHED_TRAINING = Failure("crashed", f"{MAX_DEATHS} workers died while they trained, and none got further")


@dataclass(frozen=True)
class Backlog:
    """What waits in one ring: how many jobs."""

    queue: Queue
    jobs: int


class ChunkStore:
    """Claims, renews, commits and gives back. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def claim(self, worker: str, queues: Sequence[Queue]) -> Chunk | None:
        """The next items of the job whose turn it is, from the first ring that has one; None where nothing waits."""
        chunk = new_id()
        names = [keys.READY[queue] for queue in queues]
        limits = CHUNK_ITEMS, SUSPECT_ITEMS, CHUNK_BYTES
        answer = self._scripts.run("claim", chunk, worker, LEASE_S * 1000, *limits, *names)
        if not answer:
            return None
        job_id, model, request_id, waited_ms, *records = answer
        uploads = tuple(read_upload(key, record)[0] for key, record in zip(records[::2], records[1::2], strict=True))
        return Chunk(chunk, job_id, model, uploads, request_id or None, int(waited_ms) / 1000)

    @redis_errors()
    def renew(self, chunk_id: str) -> bool:
        """Hold the chunk for another lease; False where it is no longer ours."""
        return bool(self._scripts.run("renew", chunk_id, LEASE_S * 1000))

    @redis_errors()
    def commit(self, chunk: Chunk, outcomes: Mapping[str, Outcome]) -> bool:
        """Record how each item of the chunk ended, by its key, in one step; False, and nothing, where it is not ours.

        A second call within a minute changes nothing, and answers as the first one.

        Raises ValueError where `outcomes` are not those of exactly the chunk's items, or a score is no probability.
        """
        if outcomes.keys() != {upload.key for upload in chunk.uploads}:
            raise ValueError("a commit must end each item of its chunk")
        parts = [part for key, outcome in outcomes.items() for part in _committed(key, outcome)]
        return bool(self._scripts.run("commit", chunk.id, *parts) == "committed")

    @redis_errors()
    def release(self, chunk_id: str, *, died: bool = False) -> int:
        """Give the chunk's items, or a training, back to the job, and return how many; `died` counts against each."""
        deaths, crashed = MAX_DEATHS if died else 0, outcome_json(CRASHED)
        return int(self._scripts.run("release", chunk_id, deaths, crashed, dump(failure_record(CRASHED_TRAINING))))

    @redis_errors()
    def expired_leases(self, limit: int) -> list[str]:
        """Ids of chunks whose lease has run out."""
        now = now_ms(self._redis)
        spans = ("-inf", now), (now + (LEASE_S + STEP_S) * 1000, "+inf")
        found = [self._redis.zrangebyscore(keys.LEASES, *span, start=0, num=limit) for span in spans]
        return [chunk for chunks in found for chunk in chunks][:limit]

    @redis_errors()
    def backlog(self) -> list[Backlog]:
        """How many jobs wait in each ring."""
        return [Backlog(Queue(name), self._redis.zcard(ring)) for name, ring in keys.READY.items()]


def _committed(key: str, outcome: Outcome) -> tuple[str, str, str, str, str]:
    if not all(0 <= round(prediction.score, SCORE_DECIMALS) <= 1 for prediction in outcome.predictions):
        raise ValueError(f"item {key!r} has a score that is no probability")
    best = outcome.best
    score, label = (f"{best.score:.6f}", str(best.index)) if best else ("", "")
    return key, outcome.state, outcome_json(outcome), score, label
