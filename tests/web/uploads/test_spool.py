"""Spooling: size, digest, limits and the temporary file."""

from __future__ import annotations

import hashlib
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.blobs import BlobStore
from tests.fixtures import odd
from web.uploads.pack import PACKED_BYTES
from web.uploads.spool import MEMORY_BYTES, spool


@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(1, 600))
def test_spool_returns_size_and_digest_and_cuts_at_the_limit(chunks, limit):
    whole = b"".join(chunks)
    with spool(chunks, limit, limit) as file:
        assert file.size == len(whole)
        assert file.too_long == (len(whole) > limit)
        if not (file.archive and file.too_long):  # of such an archive the digest is that of what is kept
            assert file.sha256 == hashlib.sha256(whole).hexdigest()
        kept = file.content.read()
        assert whole.startswith(kept) and (file.too_long or kept == whole) and len(kept) <= limit


@pytest.mark.parametrize("step", [1, 7, 512, 100_000])
def test_spool_recognizes_archives_by_their_first_bytes(step):
    for name, kind in (
        ("pictures.zip", "zip"),
        ("pictures.tar", "tar"),
        ("pictures.tar.gz", "gzip"),
        ("text.jpg", None),
    ):
        whole = odd.NO_PICTURES[name]()
        with spool((whole[at : at + step] for at in range(0, len(whole), step)), 10, 1_000_000) as file:
            assert file.archive == kind
            assert file.too_long == (kind is None)


def test_long_file_goes_to_an_unnamed_temporary_file(tmp_path):
    with spool([bytes(MEMORY_BYTES)] * 3, 10 * MEMORY_BYTES, 1, str(tmp_path)) as file:
        assert file.size == 3 * MEMORY_BYTES and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["pictures.zip", "pictures.tar.gz"])
def test_the_digest_of_an_archive_is_computed_later(name):
    whole = odd.NO_PICTURES[name]()
    with spool([whole[:1], whole[1:]], 1_000_000, 1_000_000) as file:
        assert (file.archive is not None, file.sha256) == (True, hashlib.sha256(whole).hexdigest())
        assert file.content.read() == whole


def test_a_long_picture_becomes_a_blob_without_being_copied(tmp_path):
    blobs, content = BlobStore.open(None, tmp_path), b"\xff\xd8" + os.urandom(2 * MEMORY_BYTES)
    with spool([content], len(content), 1, blobs.temporary_folder) as file:
        blobs.put("jobs/a/b", file.content)
        stored = (tmp_path / "blobs/jobs/a/b").stat()
        is_linked = sys.platform == "linux"
        assert (stored.st_ino == os.fstat(file.content.fileno()).st_ino) == is_linked
    (tmp_path / "other").write_bytes(b"")
    assert stored.st_mode == (tmp_path / "other").stat().st_mode
    assert blobs.get("jobs/a/b") == content and blobs.keys("jobs") == ["jobs/a/b"]


@pytest.mark.parametrize(
    ("size", "local", "in_memory"),
    [(PACKED_BYTES, True, True), (PACKED_BYTES + 1, True, False), (MEMORY_BYTES, False, True)],
)
def test_pictures_that_are_not_packed_are_files_on_the_disk_of_a_local_store(tmp_path, size, local, in_memory):
    with spool([bytes(size)], size, size, str(tmp_path) if local else None) as file:
        assert file.in_memory == in_memory and file.content.read() == bytes(size)


def test_spool_closes_its_file_if_the_client_disconnects(recwarn):
    def broken():
        yield bytes(2 * MEMORY_BYTES)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool(broken(), 10 * MEMORY_BYTES, 1)
    assert not recwarn.list
