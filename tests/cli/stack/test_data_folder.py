"""The lock of the data folder, and the Redis that writes to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.stack import data_folder, embedded_redis
from cli.stack.data_folder import shared_redis
from shared.domain.errors import ConfigError
from shared.settings import Settings
from tests.cli.kit import redis_left_behind
from tests.conftest import answers


def test_the_redis_of_a_killed_service_ends_before_another_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    with redis_left_behind(tmp_path) as (process, earlier):
        with monkeypatch.context() as impatient:
            impatient.setattr(data_folder, "ORPHANS_STOP_S", 0)
            with pytest.raises(ConfigError, match=f"still runs on {tmp_path}"), shared_redis(settings):
                pass
        assert embedded_redis.configured_url(settings) == earlier, "its configuration is untouched"

        process.terminate()
        with shared_redis(settings) as url:
            assert answers(url) and not answers(earlier)


@pytest.mark.parametrize("text", ["", "port 1", "port 1\nrequire"])
def test_an_incomplete_configuration_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "redis.conf").write_text(text)
    with pytest.raises(ConfigError, match="no Redis yet"):
        embedded_redis.configured_url(Settings(data_dir=tmp_path))
