"""The import queue: equal requests share one import and one result, and no upload is left behind."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.card import CARD_FILE, ModelCard
from shared.domain.errors import NotFound, Unavailable
from shared.domain.preprocessing import PREPROCESSINGS
from shared.models import import_queue
from shared.models.import_queue import ImportQueue, ImportResult, ImportStatus, ModelImport, file_extension
from shared.redis import keys
from shared.redis.connection import Client, connect, now_ms
from shared.redis.work_queue import LEASE_S
from shared.storage.blobs import BlobStore
from tests.versions_kit import version_folder

ZERO_TO_ONE = PREPROCESSINGS["0-1"]
WANTED = ModelImport("0" * 64, "cnn_model.h5", ("a", "b"), ZERO_TO_ONE)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(None, tmp_path)


@pytest.fixture
def queue(each_redis: Client, blobs: BlobStore) -> ImportQueue:
    return ImportQueue(each_redis, blobs)


def submit(queue: ImportQueue, wanted: ModelImport = WANTED, content: bytes = b"model") -> None:
    queue.submit(wanted, io.BytesIO(content))


def test_a_submitted_import_is_taken_once_with_its_file(queue: ImportQueue, tmp_path: Path) -> None:
    other = ModelImport("1" * 64, "other.keras")
    submit(queue)
    submit(queue, other, b"other")
    assert queue.take() == WANTED
    queue.fetch(WANTED, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"model"
    assert queue.take() == other
    assert queue.take() is None


def test_equal_requests_share_one_import(queue: ImportQueue) -> None:
    for _ in range(3):
        submit(queue)
    assert queue.take() == WANTED
    submit(queue)
    assert queue.take() is None
    assert queue.result(WANTED.id) is None
    queue.finish(WANTED, ImportResult(ImportStatus.REFUSED, "no"))
    assert queue.result(WANTED.id) == ImportResult(ImportStatus.REFUSED, "no")
    submit(queue)
    assert queue.take() is None  # it has a result


def test_different_requests_have_different_ids() -> None:
    changes = [{"sha256": "1" * 64}, {"labels": None}, {"preprocessing": PREPROCESSINGS["0-255"]}]
    changes += [{"owner": "anna"}, {"classifier": "fruit"}, {"own": "fruit"}]
    others = [replace(WANTED, **change) for change in changes]
    assert len({wanted.id for wanted in (WANTED, *others)}) == 7
    assert replace(WANTED).id == WANTED.id


def test_the_file_is_deleted_when_the_import_ends(
    queue: ImportQueue, blobs: BlobStore, each_redis: Client, tmp_path: Path
) -> None:
    submit(queue)
    assert blobs.keys("imports")
    queue.finish(WANTED, ImportResult(ImportStatus.IMPORTED, "some version"))
    assert blobs.keys("imports") == []
    assert each_redis.zcard(keys.UPLOADS) == 0
    assert 0 < each_redis.ttl(keys.imported(WANTED.id)) <= import_queue.RESULT_S
    with pytest.raises(NotFound):
        queue.fetch(WANTED, tmp_path / "file")


def test_a_failure_is_soon_forgotten(queue: ImportQueue, each_redis: Client) -> None:
    submit(queue)
    queue.finish(WANTED, ImportResult(ImportStatus.FAILED, "stopped"))
    assert 0 < each_redis.ttl(keys.imported(WANTED.id)) <= import_queue.FAILURE_S


def test_a_lost_import_can_be_submitted_again(queue: ImportQueue, each_redis: Client) -> None:
    """Given an importer that is killed, Then its import is soon forgotten; a living one renews its lease."""
    submit(queue)
    place = keys.imported(WANTED.id)
    assert LEASE_S < each_redis.ttl(place) <= import_queue.PENDING_S, "it waits for an importer"
    queue.take()
    assert 0 < each_redis.ttl(place) <= LEASE_S
    each_redis.expire(place, 1)
    queue.renew(WANTED)
    assert each_redis.ttl(place) > 1
    each_redis.delete(place)  # as if it had expired
    submit(queue)
    assert queue.take() == WANTED


def test_abandoned_uploads_are_deleted(queue: ImportQueue, blobs: BlobStore, each_redis: Client) -> None:
    submit(queue)
    queue.sweep()
    assert len(blobs.keys("imports")) == 1
    each_redis.zadd(keys.UPLOADS, {WANTED.id: now_ms(each_redis) - 1}, xx=True)
    queue.sweep()
    assert (blobs.keys("imports"), each_redis.zcard(keys.UPLOADS)) == ([], 0)


def test_an_existing_version_is_found(tmp_path: Path) -> None:
    folder = version_folder(
        tmp_path, source_sha256=WANTED.sha256, preprocessing=ZERO_TO_ONE.model_dump(), metrics=None, labels=["a", "b"]
    )
    cards = [ModelCard.read(folder / CARD_FILE)]
    assert (
        WANTED.find_existing(cards) == replace(WANTED, labels=None, preprocessing=None).find_existing(cards) == cards[0]
    )
    for other in ({"sha256": "1" * 64}, {"labels": ("b", "a")}, {"preprocessing": PREPROCESSINGS["0-255"]}):
        assert replace(WANTED, **other).find_existing(cards) is None
    assert WANTED.find_existing([]) is None
    own = cards[0].model_copy(update={"owner": "anna", "classifier": "fruit"})
    assert WANTED.find_existing([own]) is replace(WANTED, owner="ben").find_existing([own]) is None
    assert replace(WANTED, owner="anna").find_existing([own]) == own
    assert replace(WANTED, owner="anna", classifier="fruit").find_existing([own]) == own
    assert replace(WANTED, owner="anna", classifier="nuts").find_existing([own]) is None
    guessed = cards[0].model_copy(update={"params": {"value_range_basis": "assumed"}})
    assert WANTED.find_existing([guessed]) is None  # an older Darkroom guessed it


def test_an_unreachable_redis_is_unavailable(blobs: BlobStore) -> None:
    queue = ImportQueue(connect("redis://127.0.0.1:1/0"), blobs)
    for ask in (queue.take, queue.sweep, lambda: submit(queue), lambda: queue.result(WANTED.id)):
        with pytest.raises(Unavailable):
            ask()
    assert blobs.keys("imports") == []


def test_the_file_extension_follows_the_signature() -> None:
    assert file_extension(b"PK\x03\x04...") == ".keras"
    assert file_extension(b"\x89HDF\r\n\x1a\n...") == ".h5"
    assert file_extension(b"\x1c\0\0\0TFL3") == ".tflite"
    assert file_extension(b"\x08\x08\x12\x07pytorch") == file_extension(b"\x08\x0a:\xc8\t\n") == ".onnx"
    others = (b"", b"\x89PNG\r\n\x1a\n", b"PK", b"\x08\x08", b"\x08\x00\x12\x07", b"\x08\x08\x08\x08", b"TFL3")
    assert {file_extension(head) for head in others} == {None}
