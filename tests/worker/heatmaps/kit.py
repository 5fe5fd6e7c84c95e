"""Helpers for tests of heatmaps: classified pictures, a worker, and where a heatmap is bright."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from shared.domain.entities import Queue
from shared.services import Services
from tests.fixtures import make
from tests.worker.kit import PICTURES
from worker.heatmaps.heatmap_worker import HeatmapWorker
from worker.serving.models import ModelCache
from worker.serving.peers import Peers


def worker_of(services: Services, models: ModelCache, name: str = "worker") -> HeatmapWorker:
    """Return a worker that makes heatmaps with these models."""
    return HeatmapWorker(
        (Queue.INTERACTIVE,),
        services.heatmaps,
        services.store,
        services.blobs,
        services.messenger,
        models,
        Peers(name, services.workers, models.lacks),
        services.settings.max_pixels,
    )


def dog_in_the_corner(orientation: int = 1, width: int = 400, height: int = 300) -> bytes:
    """Return a JPEG with a dog at the top right of a grey picture, stored with this EXIF orientation."""
    picture = Image.new("RGB", (width, height), (128, 128, 128))
    side = round(0.53 * min(width, height))
    dog = Image.open(PICTURES / "dog-12.png").convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    picture.paste(dog, (width - side, 0))
    return make.oriented(np.asarray(picture), orientation, "JPEG", quality=95)


def centre(png: bytes) -> tuple[float, float]:
    """Return where a heatmap is bright, as shares of its width and its height."""
    levels = np.asarray(Image.open(io.BytesIO(png)), np.float64) ** 2
    rows, columns = np.indices(levels.shape) + 0.5
    total, (height, width) = levels.sum(), levels.shape
    return float((levels * columns).sum() / total / width), float((levels * rows).sum() / total / height)
