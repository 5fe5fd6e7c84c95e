"""The Dataset store on each kind of Redis server in turn, with Blobs in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.redis.connection import Client
from shared.storage.blobs import BlobStore
from tests.shared.datasets.kit import DatasetKit


@pytest.fixture
def kit(each_redis: Client, tmp_path: Path) -> Iterator[DatasetKit]:
    kit = DatasetKit(each_redis, BlobStore.open(None, tmp_path))
    yield kit
    kit.close()
