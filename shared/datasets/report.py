"""The report on a Dataset that a worker computes: its findings, and an opinion on each picture, in one Blob.

    datasets/<dataset>/report    length of the findings (uint32), the findings as JSON, then the opinions by column

It says at which revision it was computed. Pictures that were deleted or relabelled since are left out by its readers.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from shared.datasets.entities import Picture, Rejection
from shared.datasets.files import report_key
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore

#: Pictures or groups of each kind that a report lists at most, and neighbours of a doubted picture.
LISTED, NEIGHBOURS = 100, 5
#: A picture whose shorter side has fewer pixels is tiny.
TINY_PIXELS = 64

LENGTH = struct.Struct("<I")


class Neighbour(NamedTuple):
    """A labelled picture, the index of its Label, and the cosine of its Embedding with another picture's."""

    n: int
    label: int
    similarity: float


class Doubted(NamedTuple):
    """A picture whose Label, an index, seems wrong, and those that resemble it most."""

    n: int
    label: int
    neighbours: tuple[Neighbour, ...]


class CurvePoint(NamedTuple):
    """The accuracy on held-out pictures after learning from a share of the others, with its 95 % interval."""

    share: float
    pictures: int
    accuracy: float
    interval: tuple[float, float]


class Gain(NamedTuple):
    """A Label's recall on held-out pictures, and the estimated change by ten more pictures."""

    label: int
    pictures: int
    recall: float
    gain: float


class Judgement(NamedTuple):
    """What a classifier tells about the Labels. `doubted_count` is of all, `doubted` has the most doubted.

    `unknown` counts labelled and unlabelled pictures that the classifier would not answer. `gains` has the Labels that
    would gain most first.
    The curve may be of an earlier revision, `curve_revision`; None: of the same as the rest.
    """

    doubted_count: int
    doubted: tuple[Doubted, ...]
    unknown: tuple[int, int]
    curve: tuple[CurvePoint, ...]
    gains: tuple[Gain, ...]
    curve_revision: int | None = None


@dataclass(frozen=True)
class Findings:
    """What a worker found at a revision. `computed_at` is in seconds since the epoch; Labels are indices.

    `groups` are near copies, those with several Labels first; `tiny` are numbers of pictures. Lists have LISTED entries
    at most, the counts are of all. `judgement` is None if nothing can be learnt, for the `reason`.
    """

    revision: int
    computed_at: float
    group_count: int
    mixed_group_count: int
    groups: tuple[tuple[int, ...], ...]
    tiny_count: int
    tiny: tuple[int, ...]
    judgement: Judgement | None
    reason: str | None


FINDINGS = TypeAdapter(Findings)


class Opinion(NamedTuple):
    """What a classifier that did not learn from a picture thinks of it.

    `label` is the index that the picture had, or -1. `best` is the Label that fits best besides it, with its
    probability `score`. `doubt` is 0 to 1, and means nothing without a Label.
    """

    n: int
    label: int
    best: int
    score: float
    doubt: float

    def holds(self, picture: Picture) -> bool:
        """Return whether the picture still has the Label that this is about."""
        return (-1 if picture.label is None else picture.label) == self.label

    def is_rejected(self, rejection: Rejection | None) -> bool:
        """Return whether a person has rejected what this suggests, which is this Rejection of the picture."""
        return rejection == (self.label, self.best)


@dataclass(frozen=True, eq=False)
class Opinions:
    """Opinions by column, ordered by number."""

    numbers: array[Any]
    labels: array[Any]
    best: array[Any]
    scores: array[Any]
    doubts: array[Any]

    def __iter__(self) -> Iterator[Opinion]:
        """Iterate over all opinions."""
        return map(Opinion, *self.columns)

    def of(self, picture: Picture) -> Opinion | None:
        """Return the opinion on a picture, or None if there is none or the Label has changed since."""
        place = bisect_left(self.numbers, picture.n)
        if place == len(self.numbers) or self.numbers[place] != picture.n:
            return None
        opinion = Opinion(*(column[place] for column in self.columns))
        return opinion if opinion.holds(picture) else None

    @property
    def columns(self) -> tuple[array[Any], ...]:
        """Return the columns in the order of `Opinion`."""
        return self.numbers, self.labels, self.best, self.scores, self.doubts


#: Type codes of the columns: 16 bytes for each picture.
TYPES = "Ihhff"


def no_opinions() -> Opinions:
    """Return opinions on no picture."""
    return Opinions(*(array(code) for code in TYPES))


def write_report(blobs: BlobStore, dataset: str, findings: Findings, opinions: Opinions) -> None:
    """Store the report in place of an earlier one. Raise StorageFull, Unavailable."""
    text = FINDINGS.dump_json(findings)
    columns = b"".join(column.tobytes() for column in opinions.columns)
    blobs.put(report_key(dataset), LENGTH.pack(len(text)) + text + columns)


def read_report(blobs: BlobStore, dataset: str) -> tuple[Findings, Opinions] | None:
    """Return the report, or None if none was computed. Raise Unavailable."""
    try:
        content = memoryview(blobs.get(report_key(dataset)))
    except NotFound:
        return None
    (length,) = LENGTH.unpack_from(content)
    start = LENGTH.size + length
    findings, opinions = FINDINGS.validate_json(bytes(content[LENGTH.size : start])), no_opinions()
    rows = (len(content) - start) // sum(column.itemsize for column in opinions.columns)
    for column in opinions.columns:
        column.frombytes(content[start : start + rows * column.itemsize])
        start += rows * column.itemsize
    return findings, opinions
