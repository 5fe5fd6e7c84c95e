"""Read the files in a `.zip`, `.tar` or `.tar.gz`. Names in the archive never become paths.

An entry that is refused fails alone; the other entries are still read. An archive that is a bomb as a whole is refused.
"""

from __future__ import annotations

import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import IO, cast

from shared.domain.errors import ItemError, TooLarge
from shared.images.formats import ArchiveKind

#: Bytes of an entry, and of a zip's directory, read at a time.
READ_BYTES, SCAN_BYTES = 64 * 1024, 1024 * 1024
#: Ratio of unpacked to packed size above which an entry counts as a bomb; photos have up to 1.1, bitmaps up to 100.
MAX_RATIO = 200
#: Size up to which an entry may have any ratio, in bytes.
RATIO_FREE_BYTES = 1024 * 1024
#: Bytes read into memory at most for a zip's directory (40 MB for 100,000 names of 255 characters), and for the
#: headers of one tar entry (long names and PAX headers).
MAX_ZIP_DIRECTORY, MAX_TAR_HEADERS = 64 * 1024 * 1024, 1024 * 1024
#: Files and a folder that operating systems add to archives.
JUNK_NAMES = {".DS_Store", "Thumbs.db", "desktop.ini"}
JUNK_FOLDER = "__MACOSX"

#: Exceptions that Python's readers raise for a malformed archive.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
          OverflowError, NotImplementedError, RecursionError, struct.error)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A file in an archive. Reading `chunks` raises ItemError if it is refused; the next entries can still be read."""

    name: str
    chunks: Iterator[bytes]


class Budget:
    """Limits on the unpacked bytes and the entries of an archive. Every method raises TooLarge if they are exceeded."""

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes, self.max_entries = max_bytes, max_entries
        self._bytes, self._entries = 0, 0

    def entry(self) -> None:
        """Count one entry."""
        self._entries += 1
        self.check_entries(self._entries)

    def check_entries(self, count: int) -> None:
        """Check the total number of entries."""
        if count > self.max_entries:
            raise TooLarge(f"more than {self.max_entries} files in one archive")

    def spend(self, count: int) -> None:
        """Count unpacked bytes."""
        self._bytes += count
        if self._bytes > self.max_bytes:
            raise TooLarge(f"the archive unpacks to more than {self.max_bytes} bytes")


def read_archive(file: IO[bytes], kind: ArchiveKind, budget: Budget) -> Iterator[Entry]:
    """Yield the files in the archive's order, without folders and system files. Read an entry before the next one.

    Raise ItemError("bad_archive") if the archive is malformed or cut short, TooLarge if the budget is exceeded.
    """
    with _bad_archive("the archive is malformed"):
        yield from _zip(file, budget) if kind == "zip" else _tar(file, kind, budget)


def check_name(name: str) -> None:
    """Raise ItemError if a name points outside the archive. It is only shown, but such an archive is an attack."""
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
        raise ItemError("unsafe_name", "the name of this file in the archive is an absolute path")
    if ".." in name.replace("\\", "/").split("/"):
        raise ItemError("unsafe_name", "the name of this file in the archive contains `..`")


def is_junk(name: str) -> bool:
    """Return whether an operating system added this file to the archive."""
    parts = name.split("/")
    return parts[0] == JUNK_FOLDER or parts[-1] in JUNK_NAMES or parts[-1].startswith("._")


def _zip(file: IO[bytes], budget: Budget) -> Iterator[Entry]:
    _check_directory(file, budget)
    limited = _LimitedReader(file, MAX_ZIP_DIRECTORY)
    with zipfile.ZipFile(cast(IO[bytes], limited)) as archive:
        for info in archive.infolist():
            limited.renew()
            if not info.is_dir() and not is_junk(info.filename):
                budget.entry()
                yield Entry(info.filename, _zip_content(archive, info, budget, limited))


def _check_directory(file: IO[bytes], budget: Budget) -> None:
    """Count the entries and folders before `zipfile` makes an object for each."""
    signature, tail, found = b"PK\x01\x02", b"", 0
    while block := file.read(SCAN_BYTES):
        found += (tail + block).count(signature)
        tail = block[-len(signature) + 1 :]
        budget.check_entries(found // 2)
    file.seek(0)


def _zip_content(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget, limited: _LimitedReader
) -> Iterator[bytes]:
    _check_zip_entry(info)
    with _bad_archive("this file in the archive is malformed"), archive.open(info) as content:
        while chunk := content.read(READ_BYTES):
            limited.renew()
            budget.spend(len(chunk))
            yield chunk


def _check_zip_entry(info: zipfile.ZipInfo) -> None:
    check_name(info.orig_filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ItemError("not_a_file", "this entry in the archive is a link or a device, not a file")
    if info.flag_bits & 0x1:
        raise ItemError("encrypted", "this file in the archive is encrypted")
    if info.file_size > max(RATIO_FREE_BYTES, info.compress_size * MAX_RATIO):
        raise ItemError("compression_ratio", f"this file unpacks to more than {MAX_RATIO} times its packed size")


def _tar(file: IO[bytes], kind: ArchiveKind, budget: Budget) -> Iterator[Entry]:
    plain = gzip.GzipFile(fileobj=file, mode="rb") if kind == "gzip" else file
    limited = _LimitedReader(plain, MAX_TAR_HEADERS)
    with tarfile.open(fileobj=cast(IO[bytes], limited), mode="r:") as archive:
        for place, member in enumerate(_members(archive, limited)):
            budget.check_entries(place // 2)  # folders and system files too, as in a zip
            budget.spend(member.size)
            if not member.isdir() and not is_junk(member.name):
                budget.entry()
                yield Entry(member.name, _tar_content(archive, member, limited))


def _members(archive: tarfile.TarFile, limited: _LimitedReader) -> Iterator[tarfile.TarInfo]:
    """Yield every entry, and make tarfile forget it. Raise tarfile.ReadError if a negative size leads backwards."""
    while (member := archive.next()) is not None:
        archive.members, archive.pax_headers = [], {}  # type: ignore[attr-defined]  # undocumented, measured in a test
        if member.size < 0:
            raise tarfile.ReadError("an entry has a negative size")
        limited.renew()
        yield member
        limited.renew()


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo, limited: _LimitedReader) -> Iterator[bytes]:
    check_name(member.name)
    if not member.isreg():
        raise ItemError("not_a_file", "this entry in the archive is a link or a device, not a file")
    with _bad_archive("this file in the archive is malformed"):
        content = archive.extractfile(member)
        while content is not None and (chunk := content.read(READ_BYTES)):
            limited.renew()
            yield chunk


class _LimitedReader:
    """A file from which at most `limit` bytes can be read before `renew` is called.

    Python's readers would otherwise read a directory or a name of gigabytes into memory if a header says so.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def renew(self) -> None:
        self._left = self._limit

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        data = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("the headers are too long")
        return data


@contextmanager
def _bad_archive(detail: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise ItemError("bad_archive", f"{detail}: {error}") from error
