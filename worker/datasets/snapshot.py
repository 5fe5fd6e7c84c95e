"""A Snapshot: the labelled pictures that a training learns from, frozen at its first start."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.datasets.entities import Picture, Snapshot, Split
from shared.datasets.pictures import DatasetPictures
from shared.domain.entities import snapshot_key
from shared.domain.errors import Conflict, InvalidRequest, NotFound
from shared.storage.blobs import BlobStore
from shared.training.own_datasets import too_thin

#: Stands in for the name of a deleted Label, so that the others keep their index.
DELETED_LABEL = "(deleted label {})"


class DatasetGone(InvalidRequest):
    """The Dataset was deleted before the training started."""


class TooFewPictures(InvalidRequest):
    """The Dataset has too few labelled pictures to learn from."""


@dataclass(frozen=True, eq=False)
class FrozenDataset:
    """The labelled pictures of a Dataset at one revision, by number: arrays of shape (n,).

    `labels` has the name of each Label at its index. `truth` has indices of Labels, `test` is true for pictures to test
    on, `groups` are equal for near copies, `blocks` and `rows` are the places of the Embeddings.
    """

    dataset: str
    revision: int
    labels: tuple[str, ...]
    numbers: NDArray[np.int64]
    digests: tuple[str, ...]
    truth: NDArray[np.int64]
    test: NDArray[np.bool_]
    groups: NDArray[np.int64]
    blocks: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what is learnt: the Labels, and each picture with its Label and Split."""
        pictures = zip(self.digests, self.truth.tolist(), self.test.tolist(), strict=True)
        content = json.dumps([self.labels, list(pictures)], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def without(self, gone: NDArray[np.bool_]) -> FrozenDataset:
        """Return the same without some pictures (n,)."""
        if not gone.any():
            return self
        kept = ~gone
        digests = tuple(digest for digest, keep in zip(self.digests, kept, strict=True) if keep)
        arrays = (self.truth[kept], self.test[kept], self.groups[kept], self.blocks[kept], self.rows[kept])
        return FrozenDataset(self.dataset, self.revision, self.labels, self.numbers[kept], digests, *arrays)


def freeze(blobs: BlobStore, pictures: DatasetPictures, job_id: str, dataset: str) -> FrozenDataset:
    """Return the Dataset as it was when this training first asked for it, whatever has changed since.

    Raise DatasetGone, TooFewPictures, StorageFull, Unavailable.
    """
    key = snapshot_key(job_id)
    try:
        return unpack(blobs.get(key))
    except NotFound:
        frozen = learnable(pictures, dataset)
    try:
        blobs.create(key, pack(frozen))
    except Conflict:  # another worker was first
        return unpack(blobs.get(key))
    return frozen


def learnable(pictures: DatasetPictures, dataset: str) -> FrozenDataset:
    """Return the Dataset as it is now, to learn from it. Raise DatasetGone, TooFewPictures, Unavailable."""
    frozen = present(pictures, dataset)
    counts = np.bincount(frozen.truth, minlength=len(frozen.labels)).tolist()
    if reason := too_thin(dict(zip(frozen.labels, counts, strict=True))):
        raise TooFewPictures(f"{reason}.")
    return frozen


def present(pictures: DatasetPictures, dataset: str) -> FrozenDataset:
    """Return the Dataset as it is now, however few pictures it has. Raise DatasetGone, Unavailable."""
    try:
        snapshot = pictures.snapshot(dataset)
    except NotFound as error:
        raise DatasetGone("the dataset was deleted") from error
    labelled = [picture for picture in snapshot.pictures if picture.label is not None]
    return _frozen(dataset, snapshot.revision, snapshot.labels, labelled)


def unlabelled(snapshot: Snapshot) -> FrozenDataset:
    """Return the pictures without a Label; their `truth` is -1."""
    pictures = [picture._replace(label=-1) for picture in snapshot.pictures if picture.label is None]
    return _frozen(snapshot.dataset, snapshot.revision, snapshot.labels, pictures)


def _frozen(dataset: str, revision: int, labels: dict[int, str], pictures: list[Picture]) -> FrozenDataset:
    names = tuple(labels.get(index, DELETED_LABEL.format(index)) for index in range(max(labels, default=-1) + 1))
    return FrozenDataset(
        dataset,
        revision,
        names,
        np.array([each.n for each in pictures], np.int64),
        tuple(each.sha256 for each in pictures),
        np.array([each.label for each in pictures], np.int64),
        np.array([each.split is Split.TEST for each in pictures], np.bool_),
        np.array([each.group for each in pictures], np.int64),
        np.array([each.block for each in pictures], np.int64),
        np.array([each.row for each in pictures], np.int64),
    )


#: Arrays of a FrozenDataset that are stored as they are.
ARRAYS = ("numbers", "truth", "test", "groups", "blocks", "rows")


def pack(frozen: FrozenDataset) -> bytes:
    """Return the pictures as bytes, which `unpack` reads."""
    file = io.BytesIO()
    head = json.dumps([frozen.dataset, frozen.revision, frozen.labels])
    arrays = {name: getattr(frozen, name) for name in ARRAYS}
    np.savez_compressed(file, head=np.array(head), digests=np.array(frozen.digests), **arrays)
    return file.getvalue()


def unpack(content: bytes) -> FrozenDataset:
    """Return the pictures in the result of `pack`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        dataset, revision, labels = json.loads(str(arrays["head"]))
        return FrozenDataset(
            dataset=dataset,
            revision=revision,
            labels=tuple(labels),
            digests=tuple(arrays["digests"].tolist()),
            **{name: arrays[name] for name in ARRAYS},
        )
