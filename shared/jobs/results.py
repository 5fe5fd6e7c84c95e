"""Pages of a job's items and results, with cursors that stay valid while the job runs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from shared.domain.entities import Item, ItemState
from shared.jobs.cursors import decode_cursor, encode_cursor, invalid_cursor
from shared.jobs.records import finish_position, read_item
from shared.jobs.store import JobStore
from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: A score in a cursor.
SCORE = re.compile(r"[0-9](\.[0-9]{1,20})?(e-[0-9]{2})?")
#: Finished items that are read in one go while a page is filled.
READ_BATCH = 500
#: Finished items that one call looks through at most where a filter finds few; the cursor goes on from there.
SCAN_LIMIT = 5000
#: Where an item without a prediction stands among the scores: behind all others.
NO_SCORE = 2.0


@dataclass(frozen=True)
class Filter:
    """Which results are wanted; what is None is not asked for.

    `label` is the index of what an item was corrected to, or else predicted as; the scores are of the best prediction,
    bounds included; `filename` is a part of the name, in any case of its letters.
    """

    state: ItemState | None = None
    label: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    corrected: bool | None = None
    filename: str | None = None

    def matches(self, item: Item) -> bool:
        """Whether the item is wanted."""
        return (
            item.outcome is not None
            and self.state in (None, item.state)
            and self.label in (None, item.label)
            and self.corrected in (None, item.correction is not None)
            and (self.filename is None or self.filename.casefold() in item.upload.filename.casefold())
            and self._matches_score(item)
        )

    @property
    def score_range(self) -> tuple[float, float]:
        """The least and the greatest place among the scores, where an item without a prediction has NO_SCORE."""
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
    """Some items, the cursor to go on from, and whether these were the last that there will be.

    `more` says whether there is something behind the cursor already: to ask again at once is worth it then.
    """

    items: list[Item]
    next: str | None
    done: bool
    more: bool


class Results:
    """Reads pages. Every method raises Unavailable where Redis cannot be reached, NotFound where there is no job."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._store = JobStore(client)

    @redis_errors()
    def finished(self, job_id: str, limit: int, after: str | None = None, wanted: Filter = NO_FILTER) -> Page:
        """Finished items in the order in which they finished; following the cursors shows each item once."""
        over = self._store.get(job_id).state.done  # asked first: what finishes from now on is on a later page
        place = 0 if after is None else decode_cursor("place", after, int)
        found: list[Item] = []
        batch = min(READ_BATCH, limit + 1) if wanted == NO_FILTER else READ_BATCH
        for looked_at, item in enumerate(self._by_place(job_id, place, batch)):
            if len(found) == limit or looked_at == SCAN_LIMIT:
                return Page(found, encode_cursor("place", place), done=False, more=True)
            place += 1
            if item is not None and wanted.matches(item):
                found.append(item)
        return Page(found, None if over else encode_cursor("place", place), done=over, more=False)

    @redis_errors()
    def least_confident(self, job_id: str, limit: int, after: str | None = None, wanted: Filter = NO_FILTER) -> Page:
        """Finished items, least sure first; those without a prediction come last.

        While the job runs, a result that turns up in front of the cursor is not seen by it.
        """
        over = self._store.get(job_id).state.done
        place = "" if after is None else decode_cursor("score", after, str)
        found: list[Item] = []
        for looked_at, (item, score) in enumerate(self._by_score(job_id, place, wanted.score_range)):
            if len(found) == limit or looked_at == SCAN_LIMIT:
                return Page(found, encode_cursor("score", place), done=False, more=True)
            place = f"{score!r} {item.upload.key}"
            if wanted.matches(item):
                found.append(item)
        return Page(found, None if over else encode_cursor("score", place), done=over, more=False)

    @redis_errors()
    def items(self, job_id: str, limit: int, after: str | None = None) -> Page:
        """All items, finished or not, in the order in which they were added."""
        self._store.get(job_id)
        start = 0 if after is None else decode_cursor("item", after, int)
        names = self._redis.lrange(keys.job(job_id, "keys"), start, start + limit)
        more = len(names) > limit
        items = [item for item, _ in self._read(job_id, names[:limit])]
        return Page(items, encode_cursor("item", start + limit) if more else None, done=not more, more=more)

    @redis_errors()
    def item_keys(self, job_id: str, limit: int, after: str | None = None) -> tuple[list[str], str | None]:
        """The keys alone, in the order in which they were added, and the cursor to go on from or None."""
        self._store.get(job_id)
        start = 0 if after is None else decode_cursor("item", after, int)
        names = self._redis.lrange(keys.job(job_id, "keys"), start, start + limit)
        return names[:limit], encode_cursor("item", start + limit) if len(names) > limit else None

    def stream(self, job_id: str) -> Iterator[Item]:
        """Every item that has finished by now, in the order in which they finished, read as it is asked for."""
        with redis_errors():
            yield from (item for item in self._by_place(job_id, 0, READ_BATCH) if item is not None)

    def _by_place(self, job_id: str, start: int, batch: int) -> Iterator[Item | None]:
        """The finished items from a place on; None for one that finished again later, after a retry."""
        for begin in count(start, batch):
            names = self._redis.lrange(keys.job(job_id, "finished"), begin, begin + batch - 1)
            for place, (item, finished_at) in enumerate(self._read(job_id, names), begin):
                yield item if finished_at == place else None
            if len(names) < batch:
                return

    def _by_score(self, job_id: str, after: str, within: tuple[float, float]) -> Iterator[tuple[Item, float]]:
        """The finished items behind `after`, a score and a key, with their scores, of those in a range of scores."""
        scores, (low, high) = keys.job(job_id, "scores"), within
        start = max(self._rank_after(job_id, after), self._redis.zcount(scores, "-inf", f"({low}"))
        stop = self._redis.zcount(scores, "-inf", high)
        for begin in range(start, stop, READ_BATCH):
            found = dict(self._redis.zrange(scores, begin, min(begin + READ_BATCH, stop) - 1, withscores=True))
            yield from ((item, found[item.upload.key]) for item, _ in self._read(job_id, list(found)))

    def _rank_after(self, job_id: str, after: str) -> int:
        """How many items are not behind `after`, which may itself be elsewhere by now: retried. Raises InvalidRequest.

        Redis sorts items of one score by their keys, so the place among them can be looked for by halves.
        """
        if not after:
            return 0
        (score, _, key), place = after.partition(" "), keys.job(job_id, "scores")
        if not SCORE.fullmatch(score):
            raise invalid_cursor()
        equal = range(self._redis.zcount(place, "-inf", f"({score}"), self._redis.zcount(place, "-inf", score))
        return equal.start + bisect_right(equal, [key], key=lambda rank: self._redis.zrange(place, rank, rank))

    def _read(self, job_id: str, names: Sequence[str]) -> list[tuple[Item, int | None]]:
        """The items of these keys, each with its place in the order of finishing."""
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
