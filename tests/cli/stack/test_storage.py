"""What `up` finds out about the storage before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.stack.up import check_storage
from shared.domain.errors import ConfigError
from shared.redis.connection import Client
from shared.settings import Settings


def test_another_folder_than_the_one_that_belongs_to_redis(
    tmp_path: Path, each_redis: Client, each_redis_url: str
) -> None:
    """Otherwise the web server would end again and again, and the start would only say that it does not answer."""
    settings = Settings(data_dir=tmp_path / "first", redis_url=each_redis_url)
    for _ in range(2):
        check_storage(settings)
    with pytest.raises(ConfigError, match="is not the storage that other programs use with this Redis"):
        check_storage(settings.model_copy(update={"data_dir": tmp_path / "second"}))
    each_redis.flushall()
