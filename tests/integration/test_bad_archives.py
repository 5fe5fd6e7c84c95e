"""Archives that are broken, false or malicious: bad entries fail alone, bombs are rejected as a whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import stat
import struct
import tarfile
import zipfile

import pytest
from backports import zstd

from tests.fixtures import odd
from tests.integration.helpers import (
    TAR_END,
    encrypted,
    files,
    nothing_left,
    outcomes,
    png,
    problem,
    tar_entry,
    tar_of,
    zip_link,
    zip_of,
)

GOOD = tar_entry(b"good.png", len(png()), content=png())


def test_zip_with_bad_entries(http):
    bomb = zipfile.ZipInfo("bomb.bmp")
    device = zipfile.ZipInfo("device")
    device.external_attr = (stat.S_IFCHR | 0o600) << 16
    archive = zip_of(
        ("../up.png", png()), ("a/../../up2.png", png()), ("/etc/abs.png", png()), ("C:\\win.png", png()),
        ("..\\back.png", png()), (zip_link("link.png"), b"/etc/passwd"), (device, b""), ("nested.zip", zip_of()),
        ("nested.tar", tar_of(("a.png", png()))), ("nested.gz", gzip.compress(png())), (bomb, bytes(30_000_000)),
        ("empty.png", b""), ("text.txt", b"text"), ("good.png", png()), ("folder/", b""), ("folder/best.png", png(1)),
    )  # fmt: skip
    assert outcomes(http, ("a.zip", archive)) == {
        "../up.png": "unsafe_name", "a/../../up2.png": "unsafe_name", "/etc/abs.png": "unsafe_name",
        "C:\\win.png": "unsafe_name", "..\\back.png": "unsafe_name", "link.png": "not_a_file", "device": "not_a_file",
        "nested.zip": "nested_archive", "nested.tar": "nested_archive", "nested.gz": "nested_archive",
        "bomb.bmp": "compression_ratio", "empty.png": "empty_file", "text.txt": "unsupported_format",
        "good.png": "succeeded", "folder/best.png": "succeeded",
    }  # fmt: skip


def test_encrypted_entry(http):
    archive = encrypted(zip_of(("secret.png", png()), ("good.png", png(1))))
    assert outcomes(http, ("a.zip", archive)) == {"secret.png": "encrypted", "good.png": "succeeded"}


def damaged(at: bytes, offset: int, data: bytes) -> bytes:
    """Return a zip of two pictures in which the bytes after a signature are overwritten."""
    archive = bytearray(zip_of(("first.png", png()), ("good.png", png(1))))
    start = archive.index(at) + offset
    archive[start : start + len(data)] = data
    return bytes(archive)


@pytest.mark.parametrize(
    "archive",
    [
        damaged(b"first.png", 60, b"\xaa" * 60),  # its content
        damaged(b"PK\x01\x02", 10, b"\x63\0"),  # an unknown method
        damaged(b"PK\x01\x02", 42, b"\xff\xff\xff\x7f"),  # an offset beyond the file
        damaged(b"PK\x03\x04", 30, b"other"),  # the entry's name differs from the directory's
        damaged(b"PK\x01\x02", 16, b"\0\0\0\0"),  # its checksum
        damaged(b"PK\x01\x02", 24, struct.pack("<I", 100)),  # a false, small size
    ],
    ids=["content", "method", "offset", "name", "checksum", "size"],
)
def test_damaged_entry_fails_alone(http, archive):
    assert outcomes(http, ("a.zip", archive)) == {"first.png": "bad_archive", "good.png": "succeeded"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods(http, tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", png())
        archive.writestr("b.png", png(1))
    assert outcomes(http, ("a.zip", path.read_bytes())) == {"a.png": "succeeded", "b.png": "succeeded"}


@pytest.mark.parametrize(
    "archive",
    [
        zip_of(("a.png", png()), ("b.png", png()))[:-30],
        zip_of(("a.png", png()), ("b.png", png()))[:1500],
        zip_of(("a.png", png()))[:-22] + b"PK\x05\x06" + b"\xff" * 18,
        b"PK\x03\x04" + random.Random(3).randbytes(3000),
        gzip.compress(tar_of(("a.png", png())))[:20],
        b"\x1f\x8b\x08" + random.Random(4).randbytes(500),
        tar_entry(b"././@PaxHeader", 3 * 2**30, b"x") + bytes(512) + GOOD + TAR_END,
        tar_entry(b"././@LongLink", 3 * 2**30, b"L") + bytes(512) + GOOD + TAR_END,
        gzip.compress(tar_entry(b"././@PaxHeader", 2**24, b"x") + bytes(2**24) + GOOD + TAR_END),
        tar_entry(b"./L", 4, b"L", b"abc\0") * 3000 + GOOD + TAR_END,
        tar_entry(b"./X", 11, b"x", b"11 path=ab\n") * 3000 + GOOD + TAR_END,
        tar_entry(b"back", -(10**15), b"2") + GOOD + TAR_END,
        tar_entry(b"./X", 21, b"x", b"21 size=-10000000000\n") + GOOD + TAR_END,
    ],
    ids=["zip cut", "zip half", "zip directory", "zip noise",
         "gzip cut", "gzip noise", "pax of gigabytes", "name of gigabytes", "pax of megabytes", "chain of names",
         "chain of pax", "negative link", "negative pax"],
)  # fmt: skip
def test_archive_that_cannot_be_read(service, http, archive):
    """Alone it fails the request; beside a picture it is one failed item."""
    with nothing_left(service):
        assert problem(http.post("/v1/jobs", files=files(("a.zip", archive))), 422)["code"] == "bad_archive"
    assert outcomes(http, ("bad.zip", archive), ("good.png", png())) == {
        "bad.zip": "bad_archive",
        "good.png": "succeeded",
    }


@pytest.mark.parametrize("archive", [zip_of(), zip_of(("folder/", b"")), zip_of(("__MACOSX/._a", b"x"))])
def test_archive_without_a_file(service, http, archive):
    with nothing_left(service):
        problem(http.post("/v1/jobs", files=files(("a.zip", archive))), 422)


def test_compressed_files(http):
    """A compressed picture is one picture; anything else says what it is. Junk and sidecars are skipped."""
    assert outcomes(
        http, ("cat.PNG.GZ", gzip.compress(png())), ("a.png.bz2", bz2.compress(png(1))),
        ("b.png.xz", lzma.compress(png(2))), ("c.png.zst", zstd.compress(png(3))), ("d.txt.gz", gzip.compress(b"text")),
        ("e.gz", gzip.compress(b"")), ("f.tar.xz", lzma.compress(tar_of(("f.png", png(4))))),
        ("g.tar.zst", zstd.compress(tar_of(("g.png", png(5))))), ("h.zip.gz", gzip.compress(zip_of(("h.png", png())))),
    ) == {
        "cat.PNG": "succeeded", "a.png": "succeeded", "b.png": "succeeded", "c.png": "succeeded",
        "d.txt": "unsupported_format", "e": "empty_file", "f.png": "succeeded", "g.png": "succeeded",
        "h.zip": "nested_archive",
    }  # fmt: skip


def test_tar_with_links_and_devices(http):
    kinds = {"sym": b"2", "hard": b"1", "char": b"3", "block": b"4", "fifo": b"6"}
    archive = b"".join(tar_entry(name.encode(), 0, kind) for name, kind in kinds.items()) + GOOD + TAR_END
    assert outcomes(http, ("a.tar", archive)) == {**dict.fromkeys(kinds, "not_a_file"), "good.png": "succeeded"}


def test_tar_with_bad_names_and_long_ones(http):
    long = "deep/" * 300 + "x.png"
    archive = tar_of(
        ("../up.png", png()), ("/abs.png", png()), ("a/nested.zip", zip_of(("a.png", png()))), ("good.png", png()),
        (long, png(1)), kind=tarfile.GNU_FORMAT,
    )  # fmt: skip
    assert outcomes(http, ("a.tar", archive)) == {
        "../up.png": "unsafe_name", "/abs.png": "unsafe_name", "a/nested.zip": "nested_archive",
        "good.png": "succeeded", long[-255:]: "succeeded",
    }  # fmt: skip


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["tar", "tar.gz"])
def test_tar_that_breaks_off_keeps_what_came_before(http, compress):
    whole = compress(GOOD + tar_entry(b"cut.png", len(png()), content=png(1)))
    found = outcomes(http, ("a.tar", whole[: len(whole) - 1200]))
    assert found == {"good.png": "succeeded", "cut.png": "bad_archive", "a.tar": "bad_archive"}


@pytest.mark.parametrize("size", [-512, -(10**15)])
def test_tar_that_leads_back_to_its_start(http, size):
    archive = GOOD + tar_entry(b"back", size) + GOOD + TAR_END
    assert outcomes(http, ("a.tar", archive)) == {"good.png": "succeeded", "a.tar": "bad_archive"}


def test_many_archives_in_one_request(http):
    archives = ((f"{n}.zip", zip_of((f"{n}.png", png(n)), ("x.txt", b"-"))) for n in range(20))
    found = outcomes(http, *archives, ("plain.png", png()))
    assert list(found.values()).count("succeeded") == 21


def test_picture_followed_by_an_archive_is_a_picture(http):
    assert outcomes(http, ("a.png", png() + odd.zip_archive())) == {"a.png": "succeeded"}
