"""Archive names and the readers' limits, without a server."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import sys
import tracemalloc
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from backports import zstd
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.errors import ItemError, TooLarge
from tests.integration.helpers import TAR_END, tar_entry, tar_of, zip_of
from web.uploads.archive_entries import Budget, Names, check_name
from web.uploads.archives import read_archive
from web.uploads.spool import spool
from web.uploads.tar_archive import MAX_HEADERS

COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd.compress}
names = st.text(st.sampled_from("a./\\:C~ \0\n\u202e"), max_size=12) | st.text(max_size=20)
MIB = 1024 * 1024


def is_safe(name: str) -> bool:
    try:
        check_name(name)
    except ItemError as error:
        assert error.code == "unsafe_name" and str(error)
        return False
    return True


@given(names)
@example("..")
@example("a/..")
@example("..\\..\\x")
@example("C:x")
@example("\\\\server\\share\\x")
@example("//x")
def test_safe_names_stay_inside_on_every_system(name):
    """A safe name is a relative path downwards, by the rules of every system."""
    if is_safe(name):
        for flavour in (PurePosixPath, PureWindowsPath):
            path = flavour(name)
            assert not path.is_absolute() and not path.drive and not path.root and ".." not in path.parts


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\\:\0"), min_size=1), min_size=1, max_size=4))
def test_ordinary_names_are_safe(parts):
    assert is_safe("/".join(part for part in parts if part != "..") or "x")


@given(names)
def test_dots_inside_a_name_are_safe(name):
    plain = "a" + name.replace("/", "").replace("\\", "").replace(":", "")
    assert is_safe(f"folder/{plain}..{plain}/x..png")


def read(archive: bytes, kind, max_bytes: int = 10 * MIB, max_entries: int = 100) -> dict[str, bytes | str]:
    """Return the bytes of each file, or the code of its error."""
    found: dict[str, bytes | str] = {}
    for entry in read_archive(io.BytesIO(archive), kind, Budget(max_bytes, max_entries), Names(), "all.tar.gz"):
        try:
            found[entry.name] = b"".join(entry.chunks)
        except ItemError as error:
            found[entry.name] = error.code
    return found


contents = st.dictionaries(
    st.text(st.sampled_from("abcé猫"), min_size=1, max_size=9).map(lambda name: f"d/{name}.png"),
    st.binary(max_size=3000),
    max_size=6,
)


@given(contents)
def test_files_round_trip(files):
    assert read(zip_of(*files.items()), "zip") == files
    assert read(tar_of(*files.items()), "tar") == files
    for kind, compress in COMPRESS.items():
        assert read(compress(tar_of(*files.items())), kind) == files


@given(contents.filter(bool), st.data())
def test_damaged_archive_raises_only_our_errors(files, data):
    kind, whole = data.draw(
        st.sampled_from(
            [
                ("zip", zip_of(*files.items())),
                ("tar", tar_of(*files.items())),
                *((kind, compress(tar_of(*files.items()))) for kind, compress in COMPRESS.items()),
            ]
        )
    )
    damaged = bytearray(whole)
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8)):
        damaged[place] = byte
    try:
        read(bytes(damaged[: data.draw(st.integers(0, len(whole)))]), kind)
    except ItemError as error:
        assert error.code == "bad_archive" and str(error)
    except TooLarge:
        pass


def test_budget_of_entries_and_bytes():
    archive = zip_of(("a", b"x" * 600), ("b", b"x" * 600))
    assert len(read(archive, "zip", max_bytes=1200, max_entries=2)) == 2
    for limits in ({"max_bytes": 1199}, {"max_entries": 1}):
        with pytest.raises(TooLarge):
            read(archive, "zip", **limits)
        with pytest.raises(TooLarge):
            read(tar_of(("a", b"x" * 600), ("b", b"x" * 600)), "tar", **limits)


def test_unread_entry_is_skipped():
    archive = tar_of(("a", b"x" * 3000), ("b", b"y" * 3000))
    assert [entry.name for entry in read_archive(io.BytesIO(archive), "tar", Budget(MIB, 9), Names(), "")] == ["a", "b"]


def pax(kind: bytes, number: int, size: int) -> bytes:
    """Return a PAX header of `size` bytes with a unique keyword."""
    record = b"%d comment%03d=" % (size, number)
    return tar_entry(b"./PaxHeader", size, kind, record + b"x" * (size - len(record) - 1) + b"\n")


def long_headers(kind: bytes, between: bytes) -> bytes:
    return b"".join(pax(kind, number, MAX_HEADERS // 2) + between for number in range(150)) + TAR_END


def long_names(count: int, length: int) -> bytes:
    """A tar whose entries each have a PAX header with a name of this length."""
    record = b" path=" + b"n" * length + b"\n"
    record = b"%d" % (len(record) + len(str(len(record)))) + record
    return (tar_entry(b"./PaxHeader", len(record), b"x", record) + tar_entry(b"a", 0)) * count + TAR_END


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(lambda: long_names(2000, 20_000), id="many entries with long names"),
        pytest.param(lambda: long_headers(b"x", b""), id="chain of long headers"),
        pytest.param(lambda: long_headers(b"g", tar_entry(b"a", 0)), id="global headers"),
        pytest.param(lambda: tar_entry(b"L", 200 * MIB, b"L", bytes(200 * MIB)), id="one long name"),
    ],
)
def test_headers_of_a_tar_take_little_memory(archive):
    compressed = gzip.compress(archive(), 1)
    tracemalloc.start()
    with io.BytesIO(compressed) as file:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            for entry in read_archive(file, "gzip", Budget(1 << 40, 100_000), Names(), ""):
                list(entry.chunks)
        except ItemError as error:
            assert error.code == "bad_archive"
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 20 * MIB


def test_only_the_directory_of_a_zip_is_counted():
    """An archive in the archive has entries of its own."""
    inner = zip_of(*((str(number), b"") for number in range(50)))
    assert read(zip_of(("a.zip", inner), ("b", b"y")), "zip", max_entries=2) == {"a.zip": inner, "b": b"y"}
    with pytest.raises(TooLarge):
        read(inner, "zip", max_entries=24)


def test_entries_of_a_zip_are_counted_before_there_are_objects_for_them():
    many = zip_of(*((f"{number}/", b"") for number in range(20_000)))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        read(many, "zip", max_entries=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(many)


PICTURES = {f"{number}.jpg": random.Random(number).randbytes(2 * MIB) for number in range(4)}


def stored_zip(file, files, *, backwards=False):
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if backwards:
            archive.filelist.reverse()


@pytest.mark.parametrize(
    ("backwards", "again", "is_given_back"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_space_of_a_temporary_zip_is_given_back_while_it_is_read(tmp_path, backwards, again, is_given_back):
    """Not if an entry lies before one that comes earlier in the directory, nor if the zip is read again."""
    buffer = io.BytesIO()
    stored_zip(buffer, PICTURES, backwards=backwards)
    with spool([buffer.getvalue()], 1, 100 * MIB, str(tmp_path)) as file:
        used = os.fstat(file.content.fileno()).st_blocks
        for turn in range(1 + again):
            entries = read_archive(file.content, "zip", Budget(100 * MIB, 9), Names(), "", again=again and turn == 0)
            assert {entry.name: b"".join(entry.chunks) for entry in entries} == PICTURES
            if turn == 0 and sys.platform == "linux":
                left = os.fstat(file.content.fileno()).st_blocks
                assert (left < used / 2) == is_given_back
            file.content.seek(0)


def test_a_zip_that_has_a_name_stays_whole(tmp_path):
    stored_zip(tmp_path / "a.zip", PICTURES)
    whole = (tmp_path / "a.zip").read_bytes()
    with (tmp_path / "a.zip").open("r+b") as file:
        entries = read_archive(file, "zip", Budget(100 * MIB, 9), Names(), "")
        assert {entry.name: b"".join(entry.chunks) for entry in entries} == PICTURES
    assert (tmp_path / "a.zip").read_bytes() == whole


def test_directory_of_a_zip_takes_little_memory():
    """A few entries with long comments make a directory of hundreds of megabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(1200):
            info = zipfile.ZipInfo(f"{number}")
            info.comment = bytes(65_535)
            archive.writestr(info, b"")
    with pytest.raises(ItemError, match="too long"):
        read(buffer.getvalue(), "zip", max_entries=100_000)


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_compressed_file_is_one_file(kind):
    packed = COMPRESS[kind](b"x" * 100_000)
    assert read(packed, kind) == {"all.tar": b"x" * 100_000}
    try:
        assert read(packed[:-9], kind) == {"all.tar": "bad_archive"}
    except ItemError as error:  # it is so short that its kind cannot be told
        assert error.code == "bad_archive"
    with pytest.raises(TooLarge):
        read(packed, kind, max_bytes=99_999)


def test_an_xz_that_takes_much_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    packed = lzma.compress(bytes(1000), filters=filters)
    with pytest.raises(ItemError, match="emory"):
        read(packed, "xz")


def test_xz_of_several_parts_with_padding():
    whole = tar_of(("a", b"x" * 3000), ("b", b"y" * 3000))
    packed = lzma.compress(whole[:2000]) + bytes(8) + lzma.compress(whole[2000:]) + bytes(4)
    assert read(packed, "xz") == {"a": b"x" * 3000, "b": b"y" * 3000}
