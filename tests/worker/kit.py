"""Helpers for tests of the worker: its services on a real Redis and a local folder, and real pictures."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli.stack.embedded_redis import redis_server_path
from shared.domain.entities import JobKind, Upload, blob_key
from shared.redis.connection import Client, connect
from shared.services import Services
from shared.settings import Settings
from tests.conftest import running_redis
from worker.datasets.importer import PictureImporter
from worker.datasets.near_copies import NearCopies
from worker.runtime.process import threads_per_process

PICTURES = Path(__file__).parents[1] / "fixtures" / "cifar10"


@pytest.fixture(scope="session", autouse=True)
def threads() -> int:
    """Set TensorFlow's threads before its first operation, for all tests of this process; return their number."""
    count = threads_per_process(1)
    if "tensorflow" in sys.modules:  # imported by a collected module
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return count


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(redis_server_path(), tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[Client]:
    """Return a client of an empty Redis."""
    client = connect(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def services(redis_client: Client, redis_url: str, tmp_path: Path) -> Iterator[Services]:
    """Return the parts of the service, without its processes."""
    assert redis_client.ping()
    services = Services.build(Settings(redis_url=redis_url, data_dir=tmp_path, classify_workers=1))
    yield services
    services.close()


def importer(services: Services, pool: ThreadPoolExecutor) -> PictureImporter:
    """Return the importer of a worker process."""
    near_copies, limit = NearCopies(services.blobs), services.settings.max_pixels
    return PictureImporter(
        services.blobs, services.dataset_pictures, services.dataset_imports, near_copies, limit, pool
    )


def pictures(count: int | None = None) -> dict[str, bytes]:
    """Return real pictures by a key that begins with their label."""
    return {path.stem: path.read_bytes() for path in sorted(PICTURES.glob("*.png"))[:count]}


def stored(services: Services, contents: dict[str, bytes], *, sealed: bool = True) -> str:
    """Create a job with these pictures, their bytes in the blob store; return its id."""
    champion = services.registry.champion().version
    job_id = services.store.create(JobKind.CLASSIFICATION, retention_s=3600, model=champion)
    services.store.add(job_id, put(services, job_id, contents), 1000)
    if sealed:
        services.store.seal(job_id)
    return job_id


def put(services: Services, job_id: str, contents: dict[str, bytes]) -> Sequence[Upload]:
    """Store the bytes of these pictures; return their uploads."""
    uploads = []
    for key, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        services.blobs.put(blob_key(job_id, digest), content)
        uploads.append(Upload(key, f"{key}.png", len(content), digest, "image/png", 32, 32))
    return uploads
