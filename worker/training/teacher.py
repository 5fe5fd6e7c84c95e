"""What preset `distil` learns: the answers of another version, its teacher, instead of the labels alone.

Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531).
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.domain.entities import targets_key
from shared.domain.errors import InvalidRequest, NotFound
from shared.models.registry import Registry
from shared.storage.blobs import BlobStore
from worker import hardware
from worker.evaluation import evaluate
from worker.serving.models import LoadedModel, ModelCache
from worker.serving.tta import log, softmax

Targets = NDArray[np.float32]


def load_teacher(registry: Registry, version: str, labels: tuple[str, ...]) -> LoadedModel:
    """Return a version that knows exactly these labels. Raise InvalidRequest, ModelUnusable, Unavailable."""
    teacher = ModelCache(registry, hardware.cores()).get(version)
    if teacher.card.labels != labels:
        raise InvalidRequest(f"The labels of the teacher {version} are not those of the dataset, in the same order.")
    return teacher


def soft_targets(teacher: LoadedModel, images: NDArray[np.uint8], softness: float) -> Targets:
    """Return the teacher's answers (n, classes), as it serves them, to uint8 images (n, height, width, 3).

    The logarithms are divided by `softness`: the greater, the more the answers say about all the other labels. Raise
    InvalidRequest if the teacher takes images of another size, or crops pictures: those of a training are squashed.
    """
    if teacher.card.preprocessing.resize != "squash":
        raise InvalidRequest(f"The teacher {teacher.card.version} crops pictures; those of a training are squashed.")
    shape = teacher.card.input
    if images.shape[1:] != (shape.height, shape.width, shape.channels):
        raise InvalidRequest(
            f"The teacher {teacher.card.version} takes images of {shape.width} × {shape.height} pixels, "
            f"and those of the dataset have {images.shape[2]} × {images.shape[1]}."
        )
    return softmax(log(evaluate.predict_served(teacher.forward, images)) / softness).astype(np.float32)


def kept_targets(blobs: BlobStore, job_id: str, make: Callable[[], Targets]) -> Targets:
    """Return the targets of a training job, which are made once and stored with it.

    So a training that resumes learns the same ones. Raise StorageFull, Unavailable, and what `make` raises.
    """
    key = targets_key(job_id)
    try:
        return np.asarray(np.load(io.BytesIO(blobs.get(key)), allow_pickle=False), np.float32)
    except NotFound:
        targets = make()
    file = io.BytesIO()
    np.save(file, targets)
    blobs.put(key, file.getvalue())
    return targets
