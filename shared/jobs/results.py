"""Pages of a job's items and results. Their cursors stay valid while the job runs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from shared.domain.entities import Item, ItemState
from shared.domain.file_names import comparable
from shared.jobs.cursors import decode_cursor, encode_cursor, invalid_cursor
from shared.jobs.records import finish_position, read_item
from shared.jobs.store import JobStore
from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: The format of a score in a cursor.
SCORE = re.compile(r"[0-9](\.[0-9]{1,20})?(e-[0-9]{2})?")
#: Finished items that are read in one round trip.
READ_BATCH = 500
#: Finished items that one call scans at most for a filter; the next call continues at the cursor.
SCAN_LIMIT = 5000
#: The sort score of items without a prediction: after all others.
NO_SCORE = 2.0


@dataclass(frozen=True)
class Filter:
    """A filter of results; None matches everything.

    `label` is the index of the corrected or else predicted label; an unknown item has none. `min_score` and `max_score`
    are inclusive bounds of the best prediction. `filename` is a substring, whatever its case and composition.
    """

    state: ItemState | None = None
    label: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    corrected: bool | None = None
    filename: str | None = None
    unknown: bool | None = None

    def matches(self, item: Item) -> bool:
        """Return whether the item is finished and matches."""
        return (
            item.outcome is not None
            and self.state in (None, item.state)
            and self.label in (None, item.label)
            and self.corrected in (None, item.correction is not None)
            and self.unknown in (None, item.unknown)
            and (self.filename is None or comparable(self.filename) in comparable(item.upload.filename))
            and self._matches_score(item)
        )

    @property
    def score_range(self) -> tuple[float, float]:
        """Return the inclusive range of sort scores to scan, in which items without a prediction have NO_SCORE."""
        if self.state in (ItemState.FAILED, ItemState.CANCELLED):
            return NO_SCORE, NO_SCORE
        return self.min_score or 0.0, NO_SCORE if self.max_score is None else self.max_score

    def _matches_score(self, item: Item) -> bool:
        if self.min_score is None and self.max_score is None:
            return True
        best = item.outcome.best if item.outcome else None
        low, high = self.min_score or 0.0, 1.0 if self.max_score is None else self.max_score
        return best is not None and low <= best.score <= high


NO_FILTER = Filter()


@dataclass(frozen=True)
class Page:
    """A page of items and the cursor of the next one. `done`: no items will follow. `more`: some exist already."""

    items: list[Item]
    next: str | None
    done: bool
    more: bool


class Results:
    """Results in Redis. Every method raises NotFound, and Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._store = JobStore(client)

    @redis_errors()
    def finished(self, job_id: str, limit: int, after: str | None = None, wanted: Filter = NO_FILTER) -> Page:
        """Return finished items in the order of finishing. The cursors return each item once."""
        is_done = self._store.is_done(job_id)  # first: items that finish from now on are on a later page
        position = 0 if after is None else decode_cursor("place", after, int)
        found: list[Item] = []
        batch = min(READ_BATCH, limit + 1) if wanted == NO_FILTER else READ_BATCH
        for scanned, item in enumerate(self._by_finish(job_id, position, batch)):
            if len(found) == limit or scanned == SCAN_LIMIT:
                return Page(found, encode_cursor("place", position), done=False, more=True)
            position += 1
            if item is not None and wanted.matches(item):
                found.append(item)
        return Page(found, None if is_done else encode_cursor("place", position), done=is_done, more=False)

    @redis_errors()
    def least_confident(self, job_id: str, limit: int, after: str | None = None, wanted: Filter = NO_FILTER) -> Page:
        """Return finished items by ascending confidence, those without a prediction last.

        While the job runs, results that arrive before the cursor are missed.
        """
        is_done = self._store.is_done(job_id)
        position = "" if after is None else decode_cursor("score", after, str)
        found: list[Item] = []
        for scanned, (item, score) in enumerate(self._by_score(job_id, position, wanted.score_range)):
            if len(found) == limit or scanned == SCAN_LIMIT:
                return Page(found, encode_cursor("score", position), done=False, more=True)
            position = f"{score!r} {item.upload.key}"
            if wanted.matches(item):
                found.append(item)
        return Page(found, None if is_done else encode_cursor("score", position), done=is_done, more=False)

    @redis_errors()
    def items(self, job_id: str, limit: int, after: str | None = None) -> Page:
        """Return all items, finished or not, in the order in which they were added."""
        names, cursor = self.item_keys(job_id, limit, after)
        items = [item for item, _ in self._read(job_id, names)]
        return Page(items, cursor, done=cursor is None, more=cursor is not None)

    @redis_errors()
    def item_keys(self, job_id: str, limit: int, after: str | None = None) -> tuple[list[str], str | None]:
        """Return keys of items in the order in which they were added, and the cursor of the next page or None."""
        self._store.is_done(job_id)  # raises NotFound
        start = 0 if after is None else decode_cursor("item", after, int)
        names = self._redis.lrange(keys.job(job_id, "keys"), start, start + limit)
        return names[:limit], encode_cursor("item", start + limit) if len(names) > limit else None

    def stream(self, job_id: str) -> Iterator[Item]:
        """Iterate over all items that have finished by now, in the order of finishing, reading lazily."""
        with redis_errors():
            yield from (item for item in self._by_finish(job_id, 0, READ_BATCH) if item is not None)

    def _by_finish(self, job_id: str, start: int, batch: int) -> Iterator[Item | None]:
        """Iterate over the finished items from a position on; None for one that finished again after a retry."""
        for begin in count(start, batch):
            names = self._redis.lrange(keys.job(job_id, "finished"), begin, begin + batch - 1)
            for position, (item, last) in enumerate(self._read(job_id, names), begin):
                yield item if last == position else None
            if len(names) < batch:
                return

    def _by_score(self, job_id: str, after: str, within: tuple[float, float]) -> Iterator[tuple[Item, float]]:
        """Iterate over finished items and sort scores, in a range of scores, after `after` (`<score> <key>` or "")."""
        scores, (low, high) = keys.job(job_id, "scores"), within
        start = max(self._rank_after(job_id, after), self._redis.zcount(scores, "-inf", f"({low}"))
        stop = self._redis.zcount(scores, "-inf", high)
        for begin in range(start, stop, READ_BATCH):
            found = dict(self._redis.zrange(scores, begin, min(begin + READ_BATCH, stop) - 1, withscores=True))
            yield from ((item, found[item.upload.key]) for item, _ in self._read(job_id, list(found)))

    def _rank_after(self, job_id: str, after: str) -> int:
        """Return the rank after `after`, whose item may have moved after a retry. Raise InvalidRequest.

        Redis sorts items with equal scores by key, so bisection finds the rank among them.
        """
        if not after:
            return 0
        (score, _, key), scores = after.partition(" "), keys.job(job_id, "scores")
        if not SCORE.fullmatch(score):
            raise invalid_cursor()
        equal = range(self._redis.zcount(scores, "-inf", f"({score}"), self._redis.zcount(scores, "-inf", score))
        return equal.start + bisect_right(equal, [key], key=lambda rank: self._redis.zrange(scores, rank, rank))

    def _read(self, job_id: str, names: Sequence[str]) -> list[tuple[Item, int | None]]:
        """Return the items with these keys, each with its position in the order of finishing or None."""
        if not names:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for part in ("items", "outcomes", "corrections"):
            pipeline.hmget(keys.job(job_id, part), names)
        return [
            (read_item(name, upload, outcome, correction), finish_position(outcome) if outcome else None)
            for name, upload, outcome, correction in zip(names, *pipeline.execute(), strict=True)
            if upload is not None
        ]
