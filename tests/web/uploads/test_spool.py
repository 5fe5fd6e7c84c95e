"""Spooling: size, digest, limits and the temporary file."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures import odd
from web.uploads.spool import MEMORY_BYTES, spool


@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(1, 600))
def test_spool_returns_size_and_digest_and_cuts_at_the_limit(chunks, limit):
    whole = b"".join(chunks)
    with spool(chunks, limit, limit) as file:
        assert (file.size, file.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
        assert file.too_long == (len(whole) > limit)
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


def test_spool_closes_its_file_if_the_client_disconnects(recwarn):
    def broken():
        yield bytes(2 * MEMORY_BYTES)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool(broken(), 10 * MEMORY_BYTES, 1)
    assert not recwarn.list
