"""A program that uses another storage than the others, with the same Redis, notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.errors import ConfigError, Unavailable
from shared.redis import keys
from shared.redis.connection import Client, connect
from shared.storage.blobs import BlobStore
from shared.storage.identity import BLOB, StorageIdentity


def identity(client: Client, folder: Path) -> StorageIdentity:
    return StorageIdentity(client, BlobStore.open(None, folder))


def test_programs_with_the_same_storage_agree(each_redis: Client, tmp_path: Path) -> None:
    for _ in range(2):
        identity(each_redis, tmp_path).check()
    assert (tmp_path / "blobs" / BLOB).read_text() == each_redis.get(keys.STORAGE_ID)


def test_another_storage_is_named_with_what_to_do(each_redis: Client, tmp_path: Path) -> None:
    """Given a machine without DARKROOM_STORAGE_URL, whether it has been used alone before or not."""
    identity(each_redis, tmp_path / "shared").check()
    other = identity(each_redis, tmp_path / "other")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"other/blobs is not the storage.*: set DARKROOM_STORAGE_URL") as caught:
            other.check()
    assert "\n" not in str(caught.value)
    (tmp_path / "other" / "blobs" / BLOB).write_text("another")
    with pytest.raises(ConfigError, match="DARKROOM_STORAGE_URL"):
        other.check()
    each_redis.delete(keys.STORAGE_ID)  # as the message says, for pictures that have moved
    other.check()


def test_a_redis_that_lost_its_data_is_used_with_the_storage_it_gets(each_redis: Client, tmp_path: Path) -> None:
    identity(each_redis, tmp_path).check()
    each_redis.flushall()
    identity(each_redis, tmp_path).check()
    assert each_redis.get(keys.STORAGE_ID)


def test_without_redis_nothing_is_stored_or_known(tmp_path: Path) -> None:
    unreachable = identity(connect("redis://127.0.0.1:1/0"), tmp_path)
    with pytest.raises(Unavailable):
        unreachable.check()
    assert not (tmp_path / "blobs" / BLOB).exists()
