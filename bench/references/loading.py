"""Load a published version as a worker does."""

from __future__ import annotations

from pathlib import Path

from shared.models.classifiers import Classifiers
from shared.models.registry import SHIPPED, Registry
from shared.models.versions import PublishedVersions
from shared.redis.connection import connect
from shared.storage.blobs import BlobStore
from worker import hardware
from worker.serving.models import LoadedModel, ModelCache

#: Maximum pixels of a picture, as in the default settings.
MAX_PIXELS = 120_000_000


def load(data_folder: Path, version: str, threads: int | None = None) -> LoadedModel:
    """Return the version from the data folder of a service, by default with a thread for each core."""
    classifiers = Classifiers(connect("redis://127.0.0.1:1/0"))  # is never used, so never connects
    published = PublishedVersions(BlobStore.open(None, data_folder), data_folder / "cache" / "models")
    return ModelCache(Registry(SHIPPED, published, classifiers), threads or hardware.cores()).get(version)
