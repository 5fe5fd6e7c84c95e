"""Models on their way to the importer: one wish has one name and one answer, and no upload is left behind."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.card import CARD_FILE, ModelCard
from shared.domain.errors import NotFound, Unavailable
from shared.models import import_queue
from shared.models.import_queue import ImportQueue, ImportResult, ImportStatus, ModelImport, file_extension
from shared.redis import keys
from shared.redis.connection import Client, connect, now_ms
from shared.storage.blobs import BlobStore
from tests.versions_kit import version_folder

WANTED = ModelImport("0" * 64, "cnn_model.h5", ("a", "b"), "0-1")


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(None, tmp_path)


@pytest.fixture
def desk(each_redis: Client, blobs: BlobStore) -> ImportQueue:
    return ImportQueue(each_redis, blobs)


def submit(desk: ImportQueue, wanted: ModelImport = WANTED, content: bytes = b"model") -> None:
    desk.submit(wanted, io.BytesIO(content))


def test_what_is_submitted_is_taken_once_with_its_file(desk: ImportQueue, tmp_path: Path) -> None:
    other = ModelImport("1" * 64, "other.keras")
    submit(desk)
    submit(desk, other, b"other")
    assert desk.take() == WANTED
    desk.fetch(WANTED, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"model"
    assert desk.take() == other
    assert desk.take() is None


def test_who_asks_again_waits_for_the_same_answer(desk: ImportQueue) -> None:
    for _ in range(3):
        submit(desk)
    assert desk.take() == WANTED
    submit(desk)
    assert desk.take() is None
    assert desk.result(WANTED.id) is None
    desk.finish(WANTED, ImportResult(ImportStatus.REFUSED, "no"))
    assert desk.result(WANTED.id) == ImportResult(ImportStatus.REFUSED, "no")
    submit(desk)
    assert desk.take() is None  # it is answered


def test_another_wish_has_another_name() -> None:
    others = [replace(WANTED, sha256="1" * 64), replace(WANTED, labels=None), replace(WANTED, value_range="0-255")]
    assert len({wanted.id for wanted in (WANTED, *others)}) == 4
    assert replace(WANTED).id == WANTED.id


def test_the_file_goes_with_the_answer(desk: ImportQueue, blobs: BlobStore, each_redis: Client, tmp_path: Path) -> None:
    submit(desk)
    assert blobs.keys("imports")
    desk.finish(WANTED, ImportResult(ImportStatus.IMPORTED, "some version"))
    assert blobs.keys("imports") == []
    assert each_redis.zcard(keys.UPLOADS) == 0
    assert 0 < each_redis.ttl(keys.imported(WANTED.id)) <= import_queue.RESULT_S
    with pytest.raises(NotFound):
        desk.fetch(WANTED, tmp_path / "file")


def test_a_failure_does_not_stand_in_the_way_for_long(desk: ImportQueue, each_redis: Client) -> None:
    submit(desk)
    desk.finish(WANTED, ImportResult(ImportStatus.FAILED, "stopped"))
    assert 0 < each_redis.ttl(keys.imported(WANTED.id)) <= import_queue.FAILURE_S


def test_an_importer_that_died_is_not_waited_for_for_ever(desk: ImportQueue, each_redis: Client) -> None:
    submit(desk)
    desk.take()
    assert 0 < each_redis.ttl(keys.imported(WANTED.id)) <= import_queue.PENDING_S
    each_redis.delete(keys.imported(WANTED.id))  # as time does
    submit(desk)
    assert desk.take() == WANTED


def test_uploads_that_nobody_took_are_removed(desk: ImportQueue, blobs: BlobStore, each_redis: Client) -> None:
    submit(desk)
    desk.sweep()
    assert len(blobs.keys("imports")) == 1
    each_redis.zadd(keys.UPLOADS, {WANTED.id: now_ms(each_redis) - 1}, xx=True)
    desk.sweep()
    assert (blobs.keys("imports"), each_redis.zcard(keys.UPLOADS)) == ([], 0)


def test_a_wish_that_was_granted_before_is_found(tmp_path: Path) -> None:
    folder = version_folder(
        tmp_path, source_sha256=WANTED.sha256, params={"value_range": "0-1"}, metrics=None, labels=["a", "b"]
    )
    cards = [ModelCard.read(folder / CARD_FILE)]
    assert (
        WANTED.find_existing(cards) == replace(WANTED, labels=None, value_range=None).find_existing(cards) == cards[0]
    )
    for other in ({"sha256": "1" * 64}, {"labels": ("b", "a")}, {"value_range": "0-255"}):
        assert replace(WANTED, **other).find_existing(cards) is None
    assert WANTED.find_existing([]) is None


def test_a_redis_that_is_away_is_unavailable(blobs: BlobStore) -> None:
    desk = ImportQueue(connect("redis://127.0.0.1:1/0"), blobs)
    for ask in (desk.take, desk.sweep, lambda: submit(desk), lambda: desk.result(WANTED.id)):
        with pytest.raises(Unavailable):
            ask()
    assert blobs.keys("imports") == []


def test_files_are_told_by_their_beginning() -> None:
    assert file_extension(b"PK\x03\x04...") == ".keras"
    assert file_extension(b"\x89HDF\r\n\x1a\n...") == ".h5"
    assert file_extension(b"") is file_extension(b"\x89PNG\r\n\x1a\n") is file_extension(b"PK") is None
