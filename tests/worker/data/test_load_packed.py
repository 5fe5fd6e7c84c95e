"""Pictures in packs are read together, and damage to a pack costs those pictures that it hits."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.domain.entities import Upload, blob_key, job_folder
from shared.domain.errors import ItemError, Unavailable
from shared.storage.blobs import BlobStore
from web.uploads.pack import Pack
from worker.data.load_upload import UploadsOfChunk

JOB = "a" * 32
CONTENTS = [bytes([number]) * (10 + number) for number in range(100)]


class CountingStore(BlobStore):
    """A store in a folder that counts reads, and fails at a read of more than `most` bytes."""

    most = 2**62

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.reads: list[str] = []

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self.reads.append(key)
        if length > self.most:
            raise Unavailable("the connection was lost")
        return super().get_range(key, start, length)


@pytest.fixture
def blobs(tmp_path: Path) -> CountingStore:
    return CountingStore.open(None, tmp_path)


@pytest.fixture
def uploads(blobs: CountingStore) -> list[Upload]:
    """Store CONTENTS in two packs, and one picture alone; return their uploads."""
    found = [Upload(str(n), "a.png", len(each), hashlib.sha256(each).hexdigest()) for n, each in enumerate(CONTENTS)]
    packed = list[Upload]()
    for group in (found[:60], found[60:-1]):
        pack = Pack({each.sha256: CONTENTS[int(each.key)] for each in group})
        blobs.put(blob_key(JOB, pack.stored_as), pack.content)
        packed += [Upload(e.key, e.filename, e.size, e.sha256, pack=pack.places[e.sha256]) for e in group]
    blobs.put(blob_key(JOB, found[-1].sha256), CONTENTS[-1])
    return [*packed, found[-1]]


def loaded(blobs: BlobStore, uploads: list[Upload]) -> list[bytes | str]:
    """Load all uploads in threads, as a worker does; return their bytes or the codes of their errors."""
    stored = UploadsOfChunk(blobs, JOB, uploads)

    def one(upload: Upload) -> bytes | str:
        try:
            return stored.load(upload)
        except ItemError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, uploads))


def file_of(tmp_path: Path, upload: Upload) -> Path:
    return tmp_path / "blobs" / job_folder(JOB) / upload.stored_as.partition("#")[0]


def test_each_pack_is_read_once(blobs: CountingStore, uploads: list[Upload]) -> None:
    assert loaded(blobs, uploads) == CONTENTS
    assert len(blobs.reads) == len(set(blobs.reads)) == 2


def test_no_more_of_a_pack_is_read_than_is_needed(blobs: CountingStore, uploads: list[Upload]) -> None:
    few = uploads[5:9]
    blobs.most = sum(upload.size for upload in few)
    assert loaded(blobs, few) == CONTENTS[5:9]
    assert len(blobs.reads) == 1


def test_a_lost_pack_costs_its_pictures_only(blobs: CountingStore, uploads: list[Upload], tmp_path: Path) -> None:
    file_of(tmp_path, uploads[0]).unlink()
    assert loaded(blobs, uploads) == ["missing"] * 60 + CONTENTS[60:]


def test_a_changed_byte_costs_one_picture(blobs: CountingStore, uploads: list[Upload], tmp_path: Path) -> None:
    file = file_of(tmp_path, uploads[0])
    content = bytearray(file.read_bytes())
    content[sum(upload.size for upload in uploads[:7])] ^= 1
    file.write_bytes(content)
    assert loaded(blobs, uploads) == [*CONTENTS[:7], "changed", *CONTENTS[8:]]


def test_a_pack_that_is_cut_off_has_its_first_pictures(
    blobs: CountingStore, uploads: list[Upload], tmp_path: Path
) -> None:
    os.truncate(file_of(tmp_path, uploads[0]), sum(upload.size for upload in uploads[:7]) + 3)
    assert loaded(blobs, uploads) == [*CONTENTS[:7], *["unreadable"] * 53, *CONTENTS[60:]]


def test_pictures_are_read_one_by_one_if_they_cannot_be_read_together(
    blobs: CountingStore, uploads: list[Upload]
) -> None:
    blobs.most = max(upload.size for upload in uploads)
    assert loaded(blobs, uploads) == CONTENTS


def test_without_the_storage_no_picture_fails(
    blobs: CountingStore, uploads: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(_: str) -> None:
        raise Unavailable("the storage is away")

    blobs.most = 0
    monkeypatch.setattr(blobs, "check_readable", unavailable)
    with pytest.raises(Unavailable, match="the storage is away"):
        loaded(blobs, uploads[:2])
    assert len(blobs.reads) == 1, "nobody waits for another failure"
