"""Helpers for tests of the job store, and checks of its invariants."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence

from shared.domain.entities import (
    LOCAL_OWNER,
    Chunk,
    Counts,
    Failure,
    ItemState,
    JobKind,
    Outcome,
    Prediction,
    Queue,
    Upload,
)
from shared.domain.errors import NotFound
from shared.jobs.chunks import ChunkStore
from shared.jobs.corrections import Corrections
from shared.jobs.results import Results
from shared.jobs.store import AddResult, JobStore
from shared.jobs.trainings import TrainingStore
from shared.redis import keys
from shared.redis.connection import Client, now_ms

RINGS = [Queue.INTERACTIVE, Queue.BULK]
MANY = 100_000
HOUR_MS = 3600 * 1000
REFUSED = Failure("unsupported_format", "This is not a picture.")
UNREADABLE = Outcome(ItemState.FAILED, failure=Failure("undecodable", "This picture is broken."))


def upload(key: str, content: str = "", size: int = 100, failure: Failure | None = None) -> Upload:
    """Return a picture with this key; the digest depends on `content`."""
    digest = hashlib.sha256((content or key).encode()).hexdigest()
    if failure:
        return Upload(key, f"{key}.png", size, digest, failure=failure)
    return Upload(key, f"{key}.png", size, digest, "image/png", 32, 32)


def uploads(count: int, prefix: str = "k") -> list[Upload]:
    return [upload(f"{prefix}{number}") for number in range(count)]


def sure(score: float = 0.9, index: int = 3) -> Outcome:
    """Return a success whose best prediction is `index` with `score`."""
    return Outcome(ItemState.SUCCEEDED, (Prediction(index, score), Prediction(index + 1, (1 - score) / 2)))


def labels_of(version: str) -> tuple[str, ...]:
    """Return the labels of model net-1. Raises NotFound for others."""
    if version != "net-1":
        raise NotFound(f"there is no model version {version}")
    return tuple("abcdefghij")


class Kit:
    """The parts of the job store over one Redis, and shortcuts."""

    def __init__(self, client: Client) -> None:
        self.redis = client
        self.store, self.chunks, self.results = JobStore(client), ChunkStore(client), Results(client)
        self.trainings = TrainingStore(client)
        self.corrections = Corrections(client, labels_of)

    def open_job(
        self, items: Sequence[Upload] = (), *, listed: bool = True, retention_s: int = 3600, owner: str = LOCAL_OWNER
    ) -> str:
        how = {"retention_s": retention_s, "owner": owner, "listed": listed}
        job = self.store.create(JobKind.CLASSIFICATION, model="net-1", **how)
        if items:
            assert set(self.store.add(job, items, MANY)) == {AddResult.ADDED}
        return job

    def sealed_job(self, items: Sequence[Upload], **how) -> str:
        job = self.open_job(items, **how)
        self.store.seal(job)
        return job

    def claim(self, rings: list[Queue] | None = None) -> Chunk:
        chunk = self.chunks.claim("worker", rings or RINGS)
        assert chunk is not None
        return chunk

    def finish(self, chunk: Chunk, outcome: Outcome | None = None) -> None:
        """Commit the chunk with the same outcome for each item."""
        assert self.chunks.commit(chunk, dict.fromkeys(names(chunk), outcome or sure()))

    def work_off(self, outcome: Outcome | None = None) -> None:
        """Commit chunks until the queue is empty."""
        while chunk := self.chunks.claim("worker", RINGS):
            self.finish(chunk, outcome)

    def lapse(self, chunk_id: str) -> None:
        """Let the lease of a chunk expire."""
        self.redis.zadd(keys.LEASES, {chunk_id: now_ms(self.redis) - 1}, xx=True)

    def states(self, job: str) -> dict[str, ItemState]:
        """Return the state of each item, from the items."""
        return {item.upload.key: item.state for item in self.results.items(job, MANY).items}

    def counted(self, job: str) -> Counts:
        """Return the job's counts after checking them against the items."""
        found = Counter(self.states(job).values())
        counts = self.store.get(job).counts
        ended = (ItemState.SUCCEEDED, ItemState.FAILED, ItemState.CANCELLED)
        assert counts == Counts(found.total(), *(found[state] for state in ended))
        return counts

    def traces(self, job: str) -> set[str]:
        """Return all Redis keys that contain the job's id in name or value."""
        return {key for key in self.redis.scan_iter(count=1000) if job in key or job in self._members(key)}

    def _members(self, key: str) -> Collection[str]:
        kind = self.redis.type(key)
        if kind == "list":
            return self.redis.lrange(key, 0, -1)
        if kind == "zset":
            return self.redis.zrange(key, 0, -1)
        if kind == "set":
            return self.redis.smembers(key)
        return self.redis.hvals(key) if kind == "hash" else []


def names(chunk: Chunk) -> list[str]:
    return [upload.key for upload in chunk.uploads]
