"""The model of the fault tests, its predictions, and the services that some modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.storage.blobs import RESERVE_BYTES
from tests.faults.checks import Expected, expected_of
from tests.faults.kit import SPARE, Arena, OwnRedis, arena_in, pictures
from tests.faults.proxy import Proxy, running_proxy
from tests.faults.tiny import tiny_network
from tests.programs import small_disk


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a version that takes next to no time. The tests are about everything around it."""
    return tiny_network(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="package")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount a small disk; this takes root."""
    with small_disk(tmp_path_factory.mktemp("disk"), RESERVE_BYTES + SPARE) as disk:
        yield disk


@pytest.fixture(scope="package")
def cramped(disk: Path, tmp_path_factory: pytest.TempPathFactory, model: Path, small_cifar10: Path) -> Iterator[Arena]:
    """Run a service on that disk, except for its logs, which must be readable when it is full."""
    (disk / "var").mkdir()
    (disk / "var" / "run").symlink_to(tmp_path_factory.mktemp("run"))
    with arena_in(disk / "var", model, cifar10=str(small_cifar10)) as arena:
        yield arena


@pytest.fixture(scope="package")
def apart_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apart")


@pytest.fixture(scope="package")
def own_redis(apart_dir: Path) -> Iterator[OwnRedis]:
    """Run a Redis that a test stops and starts."""
    server = OwnRedis(apart_dir)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="package")
def proxy(own_redis: OwnRedis) -> Iterator[Proxy]:
    """Run a proxy in front of it."""
    with running_proxy(urlsplit(own_redis.url).port) as proxy:
        yield proxy


@pytest.fixture(scope="package")
def arena_apart(apart_dir: Path, own_redis: OwnRedis, proxy: Proxy, model: Path) -> Iterator[Arena]:
    """Run a service on that proxy."""
    password = urlsplit(own_redis.url).password
    with arena_in(apart_dir, model, redis_url=f"redis://:{password}@127.0.0.1:{proxy.port}/0") as arena:
        yield arena


@pytest.fixture(scope="session")
def expected(model: Path) -> Expected:
    """Return the predictions of its network for each picture."""
    expected = expected_of(model, pictures())
    best = {max(scores, key=scores.__getitem__) for scores in expected.values()}
    assert len(best) > 1, "pictures that look alike would prove nothing"
    return expected
