"""Heatmaps that are waited for: `web` asks for one, a classify worker makes it and stores it with the job.

Nothing but the heatmap is kept for longer than a few minutes: a client that still wants a lost one asks again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.entities import Failure, job_folder
from shared.jobs.records import dump, failure_record
from shared.redis import keys
from shared.redis.connection import Client, Scripts, now_ms, redis_errors

#: Seconds after which a heatmap that a worker has begun counts as lost: more than it takes to load a model.
LEASE_S = 20
#: Seconds after which nobody waits for it any more, and heatmaps that may wait at the same time.
PATIENCE_S, MAX_WAITING = 60, 1000
#: Workers that may die while they make the same heatmap within TRIES_S seconds, before that is given up.
MAX_TRIES, TRIES_S = 3, 600
#: Seconds that a failure is kept for the requests that wait.
FAILURE_S = 5


@dataclass(frozen=True)
class Heatmap:
    """Where a model version looked in a picture of a job, by its digest, for the label with this index.

    `stored_as` is that of the picture's upload.
    """

    model: str
    job_id: str
    sha256: str
    label: int
    stored_as: str

    @property
    def id(self) -> str:
        """Return the heatmap as text; `parse` reads it."""
        text = f"{self.model}:{self.job_id}:{self.sha256}:{self.label}"
        return text if self.stored_as == self.sha256 else f"{text}:{self.stored_as}"

    @property
    def blob_key(self) -> str:
        """Return the key of its PNG, which goes with the job."""
        return f"{job_folder(self.job_id)}/heatmaps/{self.sha256}-{self.label}"

    @classmethod
    def parse(cls, text: str) -> Heatmap:
        """Return the heatmap in a text of `id`."""
        model, job_id, sha256, label, *stored_as = text.split(":")
        return cls(model, job_id, sha256, int(label), *stored_as or [sha256])


class HeatmapQueue:
    """Heatmaps that are waited for. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def ask(self, wanted: Heatmap) -> None:
        """Ask for a heatmap. If too many are waited for, forget those that were asked for first."""
        self._redis.zadd(keys.HEATMAPS, {wanted.id: now_ms(self._redis)})
        self._redis.zremrangebyrank(keys.HEATMAPS, 0, -MAX_WAITING - 1)

    @redis_errors()
    def is_pending(self, wanted: Heatmap) -> bool:
        """Return whether it waits for a worker, or is being made."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zscore(keys.HEATMAPS, wanted.id)
        pipeline.get(keys.heatmap(wanted.id))
        asked_at, state = pipeline.execute()
        return state == "" or (not state and asked_at is not None and asked_at >= self._oldest_ms())

    @redis_errors()
    def failure(self, wanted: Heatmap) -> Failure | None:
        """Return why it could not be made, within FAILURE_S seconds after that, or None."""
        state = self._redis.get(keys.heatmap(wanted.id))
        return Failure(**json.loads(state)) if state else None

    @redis_errors()
    def is_due(self) -> bool:
        """Return whether one waits for a worker."""
        last = self._redis.zrevrange(keys.HEATMAPS, 0, 0, withscores=True)
        return any(asked_at >= self._oldest_ms() for _, asked_at in last)

    @redis_errors()
    def claim(self, except_models: Sequence[str] = ()) -> tuple[Heatmap, int] | None:
        """Return the one that has waited longest and how often it was taken, or None. Leave out some models."""
        times = LEASE_S * 1000, PATIENCE_S * 1000, TRIES_S * 1000
        answer = self._scripts.run("claim_heatmap", *times, *except_models)
        return (Heatmap.parse(answer[0]), int(answer[1])) if answer else None

    @redis_errors()
    def give_back(self, taken: Heatmap) -> None:
        """Let another worker make it, as if it had not been taken."""
        self.ask(taken)
        self._redis.delete(keys.heatmap(taken.id), keys.heatmap(taken.id, "tries"))

    @redis_errors()
    def finish(self, taken: Heatmap, failure: Failure | None = None) -> None:
        """Say that it is stored, or why it could not be made."""
        if failure is not None:
            self._redis.set(keys.heatmap(taken.id), dump(failure_record(failure)), ex=FAILURE_S)
        else:
            self._redis.delete(keys.heatmap(taken.id))
        self._redis.delete(keys.heatmap(taken.id, "tries"))

    def _oldest_ms(self) -> int:
        """Return the time before which nobody who has asked waits any more."""
        return now_ms(self._redis) - PATIENCE_S * 1000
