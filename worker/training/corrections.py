"""Corrected pictures as training data: frozen when a training starts, weighted, and a quarter of them held out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.domain.entities import corrections_key
from shared.domain.errors import Conflict, InvalidRequest, ItemError, NotFound
from shared.jobs.corrections import Corrections as CorrectionStore
from shared.models.registry import Registry
from shared.storage.blobs import BlobStore
from shared.training.datasets import (
    MIN_CORRECTIONS,
    WITH_CORRECTIONS,
    CorrectedPicture,
    corrected_pictures,
    is_held_out,
    too_few_corrections,
)
from worker import hardware
from worker.data.datasets import CIFAR10_SHAPE, ChampionScore, Corrections, Dataset, Images
from worker.data.decode import decode
from worker.data.load_upload import load_upload
from worker.evaluation import evaluate
from worker.serving.models import ModelCache, ModelUnusable

#: Times that a corrected picture is repeated. Once among 48,000 images it would have almost no effect; the number is a
#: choice, see docs/decisions/0019-corrections.md.
WEIGHT = 10

#: Largest share of corrected pictures in the training images, so that the network does not forget the others.
MAX_SHARE = 0.2


class TooFewCorrections(InvalidRequest):
    """There are too few corrected pictures to train on and to evaluate with."""


@dataclass(frozen=True, eq=False)
class CorrectedImages:
    """Corrected pictures as uint8 (n, 32, 32, 3), their label indices (n,) and their digests, in the same order."""

    images: Images
    truth: Images
    digests: tuple[str, ...]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Return which pictures are in the held-out set, as a bool array (n,)."""
        return np.array([is_held_out(digest) for digest in self.digests], np.bool_)


def freeze_corrections(
    blobs: BlobStore, corrections: CorrectionStore, job_id: str, owner: str, max_pixels: int
) -> CorrectedImages:
    """Return the corrected pictures that `owner` had when the training job first asked for them.

    They are stored with the job, so that a training that resumes sees the same ones. Pictures that are deleted or
    cannot be decoded are left out. Raises TooFewCorrections, StorageFull, Unavailable.
    """
    key = corrections_key(job_id)
    try:
        return _unpack(blobs.get(key))
    except NotFound:
        corrected = _collect(blobs, corrected_pictures(corrections.all(owner)), max_pixels)
    try:
        blobs.create(key, _pack(corrected))
    except Conflict:  # another worker was first
        return _unpack(blobs.get(key))
    return corrected


def with_corrections(base: Dataset, corrected: CorrectedImages) -> Dataset:
    """Return `base` with the corrected pictures, repeated by their weight, among its training images.

    The held-out pictures are in `corrections` only. The digest covers `base` and each picture with its label. Raises
    TooFewCorrections if all pictures are held out.
    """
    kept = corrected.held_out
    learnt = int((~kept).sum())
    if not learnt:
        raise TooFewCorrections("All corrected pictures are in the held-out set: correct more pictures.")
    times = weight(len(base.x_train), learnt)
    return replace(
        base,
        name=WITH_CORRECTIONS,
        digest=_digest(base, corrected),
        x_train=np.concatenate([base.x_train, *[corrected.images[~kept]] * times]),
        y_train=np.concatenate([base.y_train, *[corrected.truth[~kept]] * times]),
        corrections=Corrections(base.digest, learnt, times, corrected.images[kept], corrected.truth[kept]),
    )


def weight(images: int, corrections: int) -> int:
    """Return how often to repeat each of `corrections` pictures among `images`: WEIGHT, or less to keep MAX_SHARE."""
    return max(1, min(WEIGHT, int(images * MAX_SHARE / (1 - MAX_SHARE) / corrections)))


def with_champion_score(registry: Registry, dataset: Dataset) -> Dataset:
    """Return the dataset with the champion's accuracy on its held-out corrections. Raises Unavailable."""
    corrections = dataset.corrections
    if corrections is None:
        return dataset
    version = registry.alias().version
    accuracy = _accuracy(registry, version, dataset.labels, corrections)
    return replace(dataset, corrections=replace(corrections, champion=ChampionScore(version, accuracy)))


def _accuracy(registry: Registry, version: str, labels: tuple[str, ...], held: Corrections) -> float | None:
    """Return the version's accuracy; None if it cannot be loaded, or has other labels or another input.

    The pictures are squashed to that input already, so it must not crop.
    """
    try:
        model = ModelCache(registry, hardware.cores()).get(version)
    except ModelUnusable:
        return None
    shape = model.card.input
    if model.card.labels != labels or (shape.height, shape.width, shape.channels) != CIFAR10_SHAPE:
        return None
    if model.card.preprocessing.resize != "squash":
        return None
    return evaluate.accuracy_on(model.forward, held.x, held.y)


def _collect(blobs: BlobStore, pictures: Sequence[CorrectedPicture], max_pixels: int) -> CorrectedImages:
    with ThreadPoolExecutor(hardware.cores()) as pool:
        pixels = pool.map(lambda picture: _pixels(blobs, picture, max_pixels), pictures)
        found = [(image, picture) for image, picture in zip(pixels, pictures, strict=True) if image is not None]
    if len(found) < MIN_CORRECTIONS:
        raise TooFewCorrections(f"{too_few_corrections(len(found))}.")
    return CorrectedImages(
        np.stack([image for image, _ in found]),
        np.array([picture.label for _, picture in found], np.uint8),
        tuple(picture.sha256 for _, picture in found),
    )


def _pixels(blobs: BlobStore, picture: CorrectedPicture, max_pixels: int) -> Images | None:
    height, width, _ = CIFAR10_SHAPE
    try:
        return decode(load_upload(blobs, picture.job_id, picture.stored_as, picture.sha256), height, width, max_pixels)
    except ItemError:
        return None


def _digest(base: Dataset, corrected: CorrectedImages) -> str:
    total = hashlib.sha256(bytes.fromhex(base.digest))
    for digest, label in zip(corrected.digests, corrected.truth, strict=True):
        total.update(bytes.fromhex(digest) + bytes([label]))
    return total.hexdigest()


def _pack(corrected: CorrectedImages) -> bytes:
    file = io.BytesIO()
    np.savez(file, images=corrected.images, truth=corrected.truth, digests=np.array(corrected.digests))
    return file.getvalue()


def _unpack(content: bytes) -> CorrectedImages:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return CorrectedImages(arrays["images"], arrays["truth"], tuple(arrays["digests"].tolist()))
