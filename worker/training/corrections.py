"""Corrected pictures beside CIFAR-10: frozen at a training's first start, weighted, and a quarter of them held out."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.domain.entities import corrections_key
from shared.domain.errors import Conflict, InvalidRequest, ItemError, NotFound
from shared.models.registry import Registry
from shared.services import Services
from shared.training.datasets import (
    MIN_CORRECTIONS,
    WITH_CORRECTIONS,
    CorrectedPicture,
    corrected_pictures,
    is_held_out,
    too_few_corrections,
)
from worker import hardware
from worker.data.datasets import CIFAR10_SHAPE, Corrections, Dataset, Images, Rival
from worker.data.decode import decode
from worker.data.load_upload import load_upload
from worker.evaluation import evaluate
from worker.serving.models import ModelCache, ModelUnusable

#: Images of CIFAR-10 that a corrected picture counts as. Once among 48,000 it would hardly move a weight; how often is
#: a choice, see docs/decisions/0019-corrections.md.
WEIGHT = 10

#: Greatest share of the corrected pictures in all that is learnt from, so that the rest is not forgotten for them.
MOST = 0.2


class TooFewCorrections(InvalidRequest):
    """Not enough corrected pictures are there to learn from and to judge by."""


@dataclass(frozen=True, eq=False)
class Corrected:
    """Corrected pictures as uint8 (n, 32, 32, 3), their labels' indices (n,) and their digests, in order."""

    images: Images
    truth: Images
    digests: tuple[str, ...]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Which of them are judged by, as a bool array (n,)."""
        return np.array([is_held_out(digest) for digest in self.digests], np.bool_)


def frozen(services: Services, job_id: str) -> Corrected:
    """The corrected pictures that a training job learns from: those that its owner had when this was first asked.

    They are kept with the job, so that a training that goes on after a crash sees the same. Pictures that have gone,
    or cannot be decoded any more, are left out. Raises TooFewCorrections, StorageFull, Unavailable.
    """
    key = corrections_key(job_id)
    try:
        return _unpacked(services.blobs.get(key))
    except NotFound:
        corrected = _collected(services, services.store.get(job_id).owner)
    try:
        services.blobs.create(key, _packed(corrected))
    except Conflict:  # another worker was first
        return _unpacked(services.blobs.get(key))
    return corrected


def joined(base: Dataset, corrected: Corrected) -> Dataset:
    """`base` with the corrected pictures among its training images, each as often as it counts, but for those held out.

    The digest is that of `base` and of each picture with its label. Raises TooFewCorrections where all are held out.
    """
    judged = corrected.held_out
    learnt = int((~judged).sum())
    if not learnt:
        raise TooFewCorrections("All corrected pictures are held out to judge by: correct more of them.")
    times = weight(len(base.x_train), learnt)
    return replace(
        base,
        name=WITH_CORRECTIONS,
        digest=_digest(base, corrected),
        x_train=np.concatenate([base.x_train, *[corrected.images[~judged]] * times]),
        y_train=np.concatenate([base.y_train, *[corrected.truth[~judged]] * times]),
        corrections=Corrections(base.digest, learnt, times, corrected.images[judged], corrected.truth[judged]),
    )


def weight(images: int, corrections: int) -> int:
    """How often each of so many corrected pictures stands among so many others: WEIGHT, less where MOST says so."""
    return max(1, min(WEIGHT, int(images * MOST / (1 - MOST) / corrections)))


def judged(registry: Registry, dataset: Dataset) -> Dataset:
    """The data set, with how the champion does on the corrected pictures that are held out. Raises Unavailable."""
    corrections = dataset.corrections
    if corrections is None:
        return dataset
    version = registry.alias().version
    accuracy = _accuracy(registry, version, dataset.labels, corrections)
    return replace(dataset, corrections=replace(corrections, rival=Rival(version, accuracy)))


def _accuracy(registry: Registry, version: str, labels: tuple[str, ...], held: Corrections) -> float | None:
    """The share that the version gets right; None where it cannot be asked, or is for other pictures or labels."""
    try:
        model = ModelCache(registry, hardware.cores()).get(version)
    except ModelUnusable:
        return None
    shape = model.card.input
    if model.card.labels != labels or (shape.height, shape.width, shape.channels) != CIFAR10_SHAPE:
        return None
    return evaluate.share_right(model.forward, held.x, held.y)


def _collected(services: Services, owner: str) -> Corrected:
    pictures = corrected_pictures(services.corrections.all(owner))
    with ThreadPoolExecutor(hardware.cores()) as pool:
        pixels = pool.map(lambda picture: _pixels(services, picture), pictures)
        found = [(image, picture) for image, picture in zip(pixels, pictures, strict=True) if image is not None]
    if len(found) < MIN_CORRECTIONS:
        raise TooFewCorrections(f"{too_few_corrections(len(found))}.")
    return Corrected(
        np.stack([image for image, _ in found]),
        np.array([picture.label for _, picture in found], np.uint8),
        tuple(picture.sha256 for _, picture in found),
    )


def _pixels(services: Services, picture: CorrectedPicture) -> Images | None:
    height, width, _ = CIFAR10_SHAPE
    try:
        content = load_upload(services.blobs, picture.job_id, picture.sha256)
        return decode(content, height, width, services.settings.max_pixels)
    except ItemError:
        return None


def _digest(base: Dataset, corrected: Corrected) -> str:
    total = hashlib.sha256(bytes.fromhex(base.digest))
    for digest, label in zip(corrected.digests, corrected.truth, strict=True):
        total.update(bytes.fromhex(digest) + bytes([label]))
    return total.hexdigest()


def _packed(corrected: Corrected) -> bytes:
    file = io.BytesIO()
    np.savez(file, images=corrected.images, truth=corrected.truth, digests=np.array(corrected.digests))
    return file.getvalue()


def _unpacked(content: bytes) -> Corrected:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Corrected(arrays["images"], arrays["truth"], tuple(arrays["digests"].tolist()))
