"""The entities of Datasets as immutable values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Split(StrEnum):
    """The side of a picture. It is decided once, for its whole Group."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True)
class LabelCounts:
    """A Label and the number of its pictures. Its index never changes and is never given to another Label."""

    index: int
    name: str
    train: int = 0
    test: int = 0

    @property
    def pictures(self) -> int:
        """Return the number of pictures with the Label."""
        return self.train + self.test


@dataclass(frozen=True)
class DatasetRecord:
    """A Dataset. Times are in seconds since the epoch; `revision` grows with each change.

    `labels` are ordered by index; the indices of deleted Labels are missing.
    """

    id: str
    name: str
    owner: str
    created_at: float
    updated_at: float
    revision: int
    pictures: int
    unlabelled: int
    bytes: int
    labels: tuple[LabelCounts, ...]


class Picture(NamedTuple):
    """A picture of a Dataset. `n` is its id, which is never given to another picture.

    `label` is the index of its Label. `split` is None until the picture or another one of its Group gets a Label;
    `pinned` says that a person has chosen it. `group` is a number that all near copies of a picture share, else `n`.
    `block` and `row` are the place of its Embedding.
    """

    n: int
    label: int | None
    split: Split | None
    pinned: bool
    group: int
    width: int
    height: int
    size: int
    media_type: str
    sha256: str
    filename: str
    block: int
    row: int


class Rejection(NamedTuple):
    """A person's decision that a Label fits a picture no better than its own: the indices of its own, and of the other.

    It holds while the picture has this Label, and for no other suggestion.
    """

    label: int
    best: int


@dataclass(frozen=True)
class Block:
    """The pictures of one import Chunk: the picture in row `r` has the number `first + r`, unless it was not added.

    `id` is the Chunk's id, and the name of the folder of its Blobs.
    """

    number: int
    id: str
    first: int
    rows: int


@dataclass(frozen=True)
class NewPicture:
    """A picture that a worker has examined, of the Item `key`.

    `row` is its row in the Chunk's Block, or None if the Dataset already has the same bytes. `near` has the numbers of
    pictures of the Dataset, and `near_rows` those rows of the same Block, that are near copies of it. `label` is a
    valid name. `split` and `pinned` come from an exported Dataset; usually the store decides.
    """

    key: str
    sha256: str
    filename: str
    size: int
    media_type: str
    width: int
    height: int
    row: int | None
    label: str | None = None
    near: tuple[int, ...] = ()
    near_rows: tuple[int, ...] = ()
    split: Split | None = None
    pinned: bool = False


class CommitState(StrEnum):
    """How a commit ended. Only COMMITTED has changed the Dataset.

    STALE: the lease is lost. BEHIND: the Dataset has changed since the worker looked; compare again, and repeat the
    commit. GONE: the Dataset was deleted, so the Items have failed.
    """

    COMMITTED = "committed"
    STALE = "stale"
    BEHIND = "behind"
    GONE = "gone"


@dataclass(frozen=True)
class CommitResult:
    """The result of a commit. `added` has the digests whose bytes in the Block's folder are in use now.

    `failed` has the keys of the Items that have failed and can be retried, if the state is COMMITTED.
    """

    state: CommitState
    added: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PicturePage:
    """A page of pictures, the names of their Labels by index, and the cursor of the next page or None."""

    pictures: list[Picture]
    labels: dict[int, str]
    next: str | None


@dataclass(frozen=True)
class Snapshot:
    """All pictures of a Dataset at one revision, by number, with the names of the Labels by index."""

    dataset: str
    revision: int
    labels: dict[int, str]
    pictures: tuple[Picture, ...]
