"""The app with several owners on a real Redis and a real blob store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from cli.stack.embedded_redis import redis_server_path
from shared.datasets.entities import Split
from shared.services import Services
from shared.settings import load_settings
from tests.conftest import running_redis
from tests.shared.datasets.kit import DatasetKit, Given
from tests.web.api.kit import PEOPLE, Caller, key
from web.app import create_app


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(redis_server_path(), tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def people() -> dict[str, str]:
    """Return the scopes of each owner's key. A module may have its own."""
    return PEOPLE


@pytest.fixture
def parts(redis_url: str, tmp_path: Path, people: dict[str, str]) -> Iterator[Services]:
    keys = ", ".join(f"{name}:{key(name)}:{scopes}" for name, scopes in people.items())
    data = str(tmp_path / "data")
    settings = {"DARKROOM_REDIS_URL": redis_url, "DARKROOM_DATA_DIR": data, "DARKROOM_API_KEYS": keys}
    parts = Services.build(load_settings(settings))
    parts.redis.flushall()
    yield parts
    parts.close()


@pytest.fixture
def app(parts: Services) -> Flask:
    return create_app(parts)


@pytest.fixture
def kit(parts: Services) -> Iterator[DatasetKit]:
    kit = DatasetKit(parts.redis, parts.blobs)
    yield kit
    kit.close()


@pytest.fixture
def ann(app: Flask) -> Caller:
    return Caller(app, "ann")


@pytest.fixture
def bob(app: Flask) -> Caller:
    return Caller(app, "bob")


@pytest.fixture
def fruit(ann: Caller, kit: DatasetKit) -> str:
    """Create ann's Dataset `fruit` with six pictures, two of which are near copies; return its id."""
    ann("POST", json={"name": "fruit", "labels": ["pear", "apple"]}, status=201)
    dataset = kit.store.find("ann", "fruit")
    kit.add(
        dataset,
        Given("a", "apple"),
        Given("b", "apple", near=("a",)),
        Given("c", "pear"),
        Given("d", "=1+1", split=Split.TEST),
        Given("e"),
        Given("../../f", "pear/small"),
    )
    return dataset
