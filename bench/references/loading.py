"""A published version, loaded as a worker loads it."""

from __future__ import annotations

from pathlib import Path

from shared.models.champion import ChampionAlias
from shared.models.registry import SHIPPED, Registry
from shared.models.versions import PublishedVersions
from shared.redis.connection import connect
from shared.storage.blobs import BlobStore
from worker import hardware
from worker.serving.models import LoadedModel, ModelCache

#: Pixels of one picture at most, as in the default settings.
MAX_PIXELS = 120_000_000


def load(data_folder: Path, version: str) -> LoadedModel:
    """The model that a service with this data folder serves under this version, on all cores."""
    nobody = ChampionAlias(connect("redis://127.0.0.1:1/0"))  # it connects when it is asked, and it is not
    published = PublishedVersions(BlobStore.open(None, data_folder), data_folder / "cache" / "models")
    return ModelCache(Registry(SHIPPED, published, nobody), hardware.cores()).get(version)
