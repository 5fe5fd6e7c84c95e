"""The pictures of a Dataset: read, list, relabel, pin and delete them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.datasets.entities import Block, Picture, PicturePage, Rejection, Snapshot, Split
from shared.datasets.labels import label_not_found
from shared.datasets.picture import unpack
from shared.datasets.store import Move, dataset_not_found, label_names, read_move
from shared.domain.errors import NotFound
from shared.jobs.cursors import decode_cursor, encode_cursor
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors, undecoded

#: Pictures that one call changes or deletes at most: all or none, in one call of a script, which takes some 50 ms.
MAX_CHANGES = 1000
#: Pictures that are read in one round trip, and that one call examines for a filter; the next continues at the cursor.
READ_BATCH, SCAN_LIMIT = 500, 5000
#: Numbers of deleted pictures that one call passes over at most.
GAP_LIMIT = 100_000
#: In the index of Labels, a picture's score is its Label's code times this, plus its number.
LABEL_SPAN = 1 << 32


@dataclass(frozen=True)
class PictureFilter:
    """A filter of pictures; None matches everything.

    `label` is an index; `labelled` asks for pictures with or without a Label; `filename` is a case-insensitive
    substring of the file name; `group` is the number of a Group. A `label`, `labelled=False` or a `group` is served by
    an index; the rest examines records.
    """

    label: int | None = None
    labelled: bool | None = None
    split: Split | None = None
    filename: str | None = None
    group: int | None = None

    def matches(self, picture: Picture) -> bool:
        """Return whether the picture matches."""
        return (
            self.label in (None, picture.label)
            and self.labelled in (None, picture.label is not None)
            and self.split in (None, picture.split)
            and self.group in (None, picture.group)
            and (self.filename is None or self.filename.casefold() in picture.filename.casefold())
        )

    @property
    def is_indexed(self) -> bool:
        """Return whether an index finds the pictures, so that no record is read in vain."""
        if self.group is not None:
            return self == PictureFilter(group=self.group)
        return self.split is None and self.filename is None and (self.labelled is None or self.label is None)


NO_FILTER = PictureFilter()


@dataclass(frozen=True)
class Change:
    """What to change of a picture. `label` is the name of a Label, "" for none; None changes nothing.

    `split` pins the picture's whole Group.
    """

    label: str | None = None
    split: Split | None = None


class DatasetPictures:
    """Pictures in Redis. Every method raises NotFound if the Dataset is gone, and Unavailable."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._binary = undecoded(client)
        self._scripts = Scripts(client)

    def close(self) -> None:
        """Close the connections."""
        self._binary.close()

    @redis_errors()
    def get(self, dataset: str, n: int) -> Picture:
        """Return a picture. Raise NotFound."""
        picture = self._read(dataset, [n])[0]
        if picture is None:
            raise picture_not_found(n)
        return picture

    @redis_errors()
    def find(self, dataset: str, digests: Sequence[str]) -> dict[str, Picture]:
        """Return the pictures with these bytes (hexadecimal SHA-256) by digest; unknown digests are left out."""
        pipeline = self._redis.pipeline(transaction=False)
        for digest in digests:
            pipeline.hget(keys.dataset(dataset, f"digests:{digest[:2]}"), bytes.fromhex(digest)[:16])
        numbers = [int(n) for n in pipeline.execute() if n is not None]
        found = self._read(dataset, numbers)
        return {picture.sha256: picture for picture in found if picture is not None}

    @redis_errors()
    def many(self, dataset: str, numbers: Sequence[int]) -> dict[int, Picture]:
        """Return the pictures with these numbers; those that are deleted are left out."""
        moving = self._redis.hget(keys.dataset(dataset), "moving")
        found = [picture for picture in self._read(dataset, numbers) if picture is not None]
        return {picture.n: picture for picture in _after_move(found, read_move(moving))}

    @redis_errors()
    def page(
        self,
        dataset: str,
        limit: int,
        after: str | None = None,
        wanted: PictureFilter = NO_FILTER,
        *,
        newest_first: bool = False,
    ) -> PicturePage:
        """Return at most `limit` pictures that match, by number; fewer if SCAN_LIMIT are examined first.

        A page costs the same in a Dataset of any size. Raise InvalidRequest for a wrong cursor.
        """
        order = "newest" if newest_first else "oldest"
        last = None if after is None else decode_cursor(order, after, int)
        batch = min(READ_BATCH, limit + 1) if wanted.is_indexed else READ_BATCH
        found: list[Picture] = []
        examined = passed = 0
        for numbers in self._numbers(dataset, last, wanted, batch, newest_first):
            for n, picture in zip(numbers, self._read(dataset, numbers), strict=True):
                if picture is not None:
                    if len(found) == limit or examined == SCAN_LIMIT:
                        return self._page(dataset, found, encode_cursor(order, last or 0))
                    examined += 1
                    if wanted.matches(picture):
                        found.append(picture)
                last = n
            passed += len(numbers)
            if passed >= GAP_LIMIT:
                return self._page(dataset, found, encode_cursor(order, last or 0))
        return self._page(dataset, found, None)

    def stream(self, dataset: str) -> Iterator[tuple[Picture, str | None]]:
        """Iterate over all pictures and the names of their Labels, by number, reading lazily."""
        cursor: str | None = None
        while True:
            page = self.page(dataset, READ_BATCH, cursor)
            for picture in page.pictures:
                yield picture, None if picture.label is None else page.labels.get(picture.label)
            cursor = page.next
            if cursor is None:
                return

    @redis_errors()
    def change(self, dataset: str, changes: Mapping[int, Change]) -> None:
        """Change these pictures, by number: all of them, or none. Repeating the call changes nothing.

        Raise NotFound for an unknown picture or Label.
        """
        parts = [part for n, change in changes.items() for part in (n, _label_arg(change.label), change.split or "")]
        result, *what = self._scripts.run("dataset_change", dataset, *parts)
        if result == "label":
            raise label_not_found(what[0])
        _check(result, what)

    @redis_errors()
    def reject(self, dataset: str, n: int, label: str | None) -> bool:
        """Note that a Label fits a picture no better than its own; None forgets that. Repeating it changes nothing.

        Return False, without a change, if the picture has that Label, or none. Raise NotFound for an unknown picture or
        Label.
        """
        result, *what = self._scripts.run("dataset_reject", dataset, n, label or "")
        if result == "label":
            raise label_not_found(what[0])
        _check(result, what)
        return bool(result == "changed")

    @redis_errors()
    def rejections(self, dataset: str, numbers: Sequence[int] | None = None) -> dict[int, Rejection]:
        """Return the Rejections of these pictures, or of all, by number; most pictures have none."""
        key = keys.dataset(dataset, "rejected")
        if numbers is None:
            found = self._redis.hgetall(key)
        else:
            found = dict(zip(numbers, self._redis.hmget(key, numbers), strict=True)) if numbers else {}
        return {int(n): Rejection(*map(int, text.split())) for n, text in found.items() if text is not None}

    @redis_errors()
    def delete(self, dataset: str, numbers: Sequence[int]) -> None:
        """Delete these pictures; those that are gone are passed over. Their bytes are deleted by `DatasetSweep.finish`.

        Raise NotFound, and delete none, if there never was a picture of one of these numbers.
        """
        result, *what = self._scripts.run("dataset_delete", dataset, *numbers)
        _check(result, what)

    @redis_errors()
    def blocks(self, dataset: str, start: int = 0) -> list[Block]:
        """Return the Blocks from number `start` on. Blocks never change; new ones are added at the end."""
        lines = self._redis.lrange(keys.dataset(dataset, "blocks"), start, -1)
        words = enumerate((line.split() for line in lines), start)
        return [Block(number, block_id, int(first), int(rows)) for number, (block_id, first, rows) in words]

    @redis_errors()
    def block_id(self, dataset: str, number: int) -> str:
        """Return the id of a Block, which its folder is named after. Raise NotFound."""
        line = self._redis.lindex(keys.dataset(dataset, "blocks"), number)
        if line is None:
            raise dataset_not_found()
        return str(line).partition(" ")[0]

    @redis_errors()
    def snapshot(self, dataset: str) -> Snapshot:
        """Return all pictures as they are at one moment, and at one revision. 100,000 take about a second."""
        pipeline = self._binary.pipeline(transaction=True)
        pipeline.hmget(keys.dataset(dataset), "revision", "moving")
        for part in ("labels", "pictures"):
            pipeline.hgetall(keys.dataset(dataset, part))
        (revision, moving), labels, pictures = pipeline.execute()
        if revision is None:
            raise dataset_not_found()
        names = label_names({index.decode(): name.decode() for index, name in labels.items()})
        found = sorted((unpack(int(n), record) for n, record in pictures.items()), key=lambda picture: picture.n)
        return Snapshot(
            dataset, int(revision), names, tuple(_after_move(found, read_move(moving.decode() if moving else None)))
        )

    def _numbers(
        self, dataset: str, last: int | None, wanted: PictureFilter, batch: int, newest_first: bool
    ) -> Iterator[list[int]]:
        """Yield numbers of pictures after `last` in order, in batches; without an index also of deleted ones."""
        if wanted.group is not None:
            return self._group_numbers(dataset, wanted.group, last, newest_first)
        if wanted.label is None and wanted.labelled is not False:
            return self._all_numbers(dataset, last, batch, newest_first)
        code = 0 if wanted.label is None else wanted.label + 1
        return self._labelled_numbers(dataset, code, last, batch, newest_first)

    def _all_numbers(self, dataset: str, last: int | None, batch: int, newest_first: bool) -> Iterator[list[int]]:
        end = self._redis.hget(keys.dataset(dataset), "next")
        if end is None:
            raise dataset_not_found()
        if newest_first:
            for stop in range(int(end) if last is None else min(last, int(end)), 1, -batch):
                yield list(range(stop - 1, max(0, stop - 1 - batch), -1))
        else:
            for start in range((last or 0) + 1, int(end), batch):
                yield list(range(start, min(start + batch, int(end))))

    def _group_numbers(self, dataset: str, group: int, last: int | None, newest_first: bool) -> Iterator[list[int]]:
        members = self._redis.zrangebyscore(keys.dataset(dataset, "groups"), group, group)
        numbers = sorted(map(int, members or [group]), reverse=newest_first)
        after = [n for n in numbers if last is None or (n < last if newest_first else n > last)]
        for start in range(0, len(after), READ_BATCH):
            yield after[start : start + READ_BATCH]

    def _labelled_numbers(
        self, dataset: str, code: int, last: int | None, batch: int, newest_first: bool
    ) -> Iterator[list[int]]:
        key, low = keys.dataset(dataset, "by-label"), code * LABEL_SPAN
        first, final = low, low + LABEL_SPAN - 1
        while True:
            if last is not None:
                first, final = (first, min(final, low + last - 1)) if newest_first else (low + last + 1, final)
            read = self._redis.zrevrangebyscore if newest_first else self._redis.zrangebyscore
            bounds = (final, first) if newest_first else (first, final)
            numbers = [int(n) for n in read(key, *bounds, start=0, num=batch)]
            if not numbers:
                return
            yield numbers
            last = numbers[-1]

    def _page(self, dataset: str, found: Sequence[Picture], following: str | None) -> PicturePage:
        moving = self._redis.hget(keys.dataset(dataset), "moving")
        pictures = list(_after_move(found, read_move(moving)))
        return PicturePage(pictures, self.label_names(dataset, pictures), following)

    @redis_errors()
    def label_names(self, dataset: str, pictures: Sequence[Picture]) -> dict[int, str]:
        """Return the names of these pictures' Labels by index."""
        indices = sorted({picture.label for picture in pictures if picture.label is not None})
        names = self._redis.hmget(keys.dataset(dataset, "labels"), indices) if indices else []
        return {index: name for index, name in zip(indices, names, strict=True) if name is not None}

    def _read(self, dataset: str, numbers: Sequence[int]) -> list[Picture | None]:
        records = self._binary.hmget(keys.dataset(dataset, "pictures"), numbers) if numbers else []
        return [unpack(n, record) if record else None for n, record in zip(numbers, records, strict=True)]


def picture_not_found(n: int | str) -> NotFound:
    """Return the error for an unknown picture."""
    return NotFound(f"the dataset has no picture {n}")


def _label_arg(label: str | None) -> str:
    if label is None:
        return ""
    return f"={label}" if label else "-"


def _after_move(pictures: Sequence[Picture], move: Move | None) -> Iterator[Picture]:
    """Return the pictures with the Labels that they have when a merge or a deletion is complete."""
    for picture in pictures:
        if move is None or picture.label != move.source - 1:
            yield picture
        elif move.target is not None:
            yield picture._replace(label=move.target - 1 if move.target else None)


def _check(result: str, what: Sequence[str]) -> None:
    """Raise NotFound if a script has found that the Dataset or one of the pictures is not there."""
    if result == "missing":
        raise dataset_not_found()
    if result == "unknown":
        raise picture_not_found(what[0])
