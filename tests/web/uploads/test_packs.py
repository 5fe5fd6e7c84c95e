"""Small pictures of a request are stored together, and every one of them can be read."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.entities import PACK_PREFIX, Upload, blob_key, job_folder
from shared.domain.errors import StorageFull
from shared.settings import Settings
from shared.storage.blobs import BlobStore
from tests.integration.helpers import png, zip_of
from web.uploads.intake import WAITING_BYTES, WAITING_PICTURES, Intake
from web.uploads.pack import NAME_DIGITS, PACKED_BYTES, Pack
from web.uploads.picture_labels import Labelling
from web.uploads.submission import ADD_ITEMS

JOB = "a" * 32


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(None, tmp_path)


def intake_of(blobs: BlobStore, **options) -> Intake:
    return Intake(blobs, Settings(), JOB, **options)


def sized(seed: int, size: int) -> bytes:
    """Return a picture of this many bytes; what follows a PNG's end is ignored."""
    picture = png(seed)
    return picture + random.Random(seed).randbytes(size - len(picture))


def taken(intake: Intake, contents: Sequence[bytes]) -> list[Upload]:
    """Take pictures, each a file of the request, and store them."""
    return intake.stored([upload for content in contents for upload in intake.take("a.png", [content])])


def read(blobs: BlobStore, upload: Upload) -> bytes:
    return blobs.get(blob_key(JOB, upload.stored_as))


def names(blobs: BlobStore) -> list[str]:
    """Return the names of all blobs of the job."""
    return sorted(key.removeprefix(f"{job_folder(JOB)}/") for key in blobs.keys(job_folder(JOB)))


def test_small_pictures_that_arrive_together_are_one_blob(blobs: BlobStore) -> None:
    contents = [png(seed) for seed in range(30)]
    uploads = taken(intake_of(blobs), contents)
    (name,) = names(blobs)
    assert name.startswith(PACK_PREFIX) and all(upload.stored_as.startswith(f"{name}#") for upload in uploads)
    assert [read(blobs, upload) for upload in uploads] == contents


def test_a_picture_alone_is_a_blob_under_its_digest(blobs: BlobStore) -> None:
    (upload,) = taken(intake_of(blobs), [png()])
    assert (names(blobs), upload.pack, upload.stored_as) == ([upload.sha256], None, upload.sha256)


def test_big_pictures_and_those_of_an_import_are_blobs_of_their_own(blobs: BlobStore) -> None:
    big = [sized(seed, PACKED_BYTES + 1) for seed in range(2)]
    small = [sized(seed, PACKED_BYTES) for seed in range(2, 4)]
    uploads = taken(intake_of(blobs), [big[0], small[0], big[1], small[1]])
    assert [upload.pack is None for upload in uploads] == [True, False, True, False]
    imported = taken(intake_of(blobs, labelling=Labelling()), [png(seed) for seed in range(5, 8)])
    assert all(upload.pack is None for upload in imported)
    assert len(names(blobs)) == len(big) + 1 + len(imported)
    assert [read(blobs, upload) for upload in uploads] == [big[0], small[0], big[1], small[1]]


def test_copies_of_a_picture_are_stored_once(blobs: BlobStore) -> None:
    uploads = taken(intake_of(blobs), [png(1), png(2), *[png(1)] * 20])
    assert len({upload.stored_as for upload in uploads}) == 2
    assert sum(len(blobs.get(key)) for key in blobs.keys(job_folder(JOB))) == len(png(1)) + len(png(2))


def test_a_request_that_is_repeated_stores_nothing_new(blobs: BlobStore) -> None:
    """Given the same pictures, Then the pack has the same name; other bytes never replace it."""
    content = zip_of(*((f"{seed}.png", png(seed)) for seed in range(40)))
    first = _unpacked(intake_of(blobs), content)
    before = names(blobs)
    assert (_unpacked(intake_of(blobs), content), names(blobs)) == (first, before)
    taken(intake_of(blobs), [png(seed) for seed in reversed(range(40))])
    assert len(names(blobs)) == len(before) + 1
    assert [hashlib.sha256(read(blobs, upload)).hexdigest() for upload in first] == [each.sha256 for each in first]


def test_a_hard_link_to_a_picture_that_was_recorded_long_ago_leads_to_it(blobs: BlobStore) -> None:
    buffer, count = io.BytesIO(), WAITING_PICTURES + 10
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for seed in range(count):
            info = tarfile.TarInfo(f"{seed}.png")
            info.size = len(png(seed))
            archive.addfile(info, io.BytesIO(png(seed)))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.LNKTYPE, "0.png"
        archive.addfile(link)
    uploads = _unpacked(intake_of(blobs), buffer.getvalue())
    assert (uploads[-1].filename, uploads[-1].stored_as) == ("link.png", uploads[0].stored_as)
    assert read(blobs, uploads[-1]) == png(0)


def _unpacked(intake: Intake, content: bytes) -> list[Upload]:
    """Take an archive as a request does, and store its pictures ADD_ITEMS at a time."""
    found, batch = list[Upload](), list[Upload]()
    for upload in intake.take("archive", [content]):
        batch.append(upload)
        if len(batch) == ADD_ITEMS:
            found += intake.stored(batch)
            batch = []
    return found + intake.stored(batch)


def test_memory_holds_one_pack_at_a_time(blobs: BlobStore) -> None:
    """Given pictures of the largest small size, Then each pack has about WAITING_BYTES."""
    contents = [sized(seed, PACKED_BYTES) for seed in range(2 * WAITING_BYTES // PACKED_BYTES + 1)]
    uploads = taken(intake_of(blobs), contents)
    assert len(names(blobs)) == 3 and uploads[-1].pack is None, "the last one came alone"
    assert max(len(blobs.get(key)) for key in blobs.keys(job_folder(JOB))) == WAITING_BYTES


def test_pictures_of_a_full_disk_are_not_said_to_be_stored(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = intake_of(blobs)
    uploads = [upload for seed in range(3) for upload in intake.take("a.png", [png(seed)])]
    monkeypatch.setattr("shared.storage.blobs.RESERVE_BYTES", 2**62)
    with pytest.raises(StorageFull):
        intake.stored(uploads)
    assert names(blobs) == []


@given(st.lists(st.binary(min_size=1, max_size=40), unique=True, min_size=2, max_size=20))
def test_every_picture_is_where_its_pack_says(contents: list[bytes]) -> None:
    pictures = {hashlib.sha256(content).hexdigest(): content for content in contents}
    pack = Pack(dict(pictures))
    for digest, content in pictures.items():
        name, _, start = pack.places[digest].partition("#")
        assert f"{PACK_PREFIX}{name}" == pack.stored_as and len(name) == NAME_DIGITS
        assert pack.content[int(start) : int(start) + len(content)] == content
