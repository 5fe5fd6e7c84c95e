"""Skipped files in a job's archives, and the guesses about names in archives."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from shared.domain.entities import SkippedFile
from shared.jobs.cursors import decode_cursor, encode_cursor
from shared.jobs.records import dump
from shared.jobs.store import SCRIPT_BATCH, job_not_found
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors


class SkippedFiles:
    """Skipped files in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._scripts = Scripts(client)

    @redis_errors()
    def add(self, job_id: str, files: Sequence[SkippedFile], guessed: Collection[str], most: int) -> None:
        """Record skipped files, at most `most` in a job, and encodings that were guessed. Raise NotFound.

        Repeating the call changes nothing.
        """
        records = [dump([file.archive, file.filename]) for file in files]
        for start in range(0, max(len(records), 1 if guessed else 0), SCRIPT_BATCH):
            batch = records[start : start + SCRIPT_BATCH]
            if self._scripts.run("skip", job_id, most, len(guessed), *sorted(guessed), *batch) == "missing":
                raise job_not_found(job_id)

    @redis_errors()
    def page(self, job_id: str, limit: int, after: str | None = None) -> tuple[list[SkippedFile], str | None]:
        """Return a page of skipped files in the order of their archives, and the cursor of the next one or None."""
        start = 0 if after is None else decode_cursor("skipped", after, int)
        records = self._redis.zrange(keys.job(job_id, "skipped"), start, start + limit)
        files = [SkippedFile(*json.loads(record)) for record in records[:limit]]
        return files, encode_cursor("skipped", start + limit) if len(records) > limit else None
