"""Read the files in a `.zip`, `.tar` or `.tar.gz`. Nothing is ever unpacked under a name from the archive.

An entry that cannot be taken is given with the reason, so that its neighbours are not lost with it; an archive that is
a bomb as a whole is refused.
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

#: Bytes of an entry, and of a zip's directory, that are read in one go.
READ_BYTES, SCAN_BYTES = 64 * 1024, 1024 * 1024
#: Unpacked size over packed size above which an entry is taken for a bomb; photos stay under 1.1, bitmaps under 100.
MAX_RATIO = 200
#: Entries so small are no bomb, whatever their ratio.
RATIO_FREE_BYTES = 1024 * 1024
#: Bytes that may be read into memory for a zip's directory (100,000 names of 255 letters take 40 MB), and for the
#: headers of one tar entry: long names and PAX headers.
MAX_ZIP_DIRECTORY, MAX_TAR_HEADERS = 64 * 1024 * 1024, 1024 * 1024
#: What systems put into archives beside the files that a person meant.
JUNK_NAMES = {".DS_Store", "Thumbs.db", "desktop.ini"}
JUNK_FOLDER = "__MACOSX"

#: What Python's readers raise for a file that is not what it says.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
          OverflowError, NotImplementedError, RecursionError, struct.error)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One file of an archive. Reading `chunks` raises ItemError where it cannot be taken; its neighbours still can."""

    name: str
    chunks: Iterator[bytes]


class Budget:
    """Counts what an archive unpacks to, over all its entries. Every method raises TooLarge where it is spent."""

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes, self.max_entries = max_bytes, max_entries
        self._bytes, self._entries = 0, 0

    def entry(self) -> None:
        """One entry more."""
        self._entries += 1
        self.check_entries(self._entries)

    def check_entries(self, count: int) -> None:
        """`count` entries in all."""
        if count > self.max_entries:
            raise TooLarge(f"more than {self.max_entries} files in one archive")

    def spend(self, count: int) -> None:
        """`count` bytes more."""
        self._bytes += count
        if self._bytes > self.max_bytes:
            raise TooLarge(f"the archive unpacks to more than {self.max_bytes} bytes")


def read_archive(file: IO[bytes], kind: ArchiveKind, budget: Budget) -> Iterator[Entry]:
    """The files in an archive, in its order, without folders and system files. An entry must be read before the next.

    Raises ItemError("bad_archive") where the archive cannot be read or breaks off, TooLarge where the budget ends.
    """
    with _broken_is("bad_archive", "the archive cannot be read"):
        yield from _zip(file, budget) if kind == "zip" else _tar(file, kind, budget)


def check_name(name: str) -> None:
    """Raise ItemError where a name points outside the archive. It is only ever shown, but such a file means harm."""
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
        raise ItemError("unsafe_name", "the archive gives this file an absolute name")
    if ".." in name.replace("\\", "/").split("/"):
        raise ItemError("unsafe_name", "the archive gives this file a name with `..` in it")


def is_junk(name: str) -> bool:
    """Whether a system put this file into the archive by itself."""
    parts = name.split("/")
    return parts[0] == JUNK_FOLDER or parts[-1] in JUNK_NAMES or parts[-1].startswith("._")


def _zip(file: IO[bytes], budget: Budget) -> Iterator[Entry]:
    _check_directory(file, budget)
    rationed = _Rationed(file, MAX_ZIP_DIRECTORY)
    with zipfile.ZipFile(cast(IO[bytes], rationed)) as archive:
        for info in archive.infolist():
            rationed.renew()
            if not info.is_dir() and not is_junk(info.filename):
                budget.entry()
                yield Entry(info.filename, _zip_content(archive, info, budget, rationed))


def _check_directory(file: IO[bytes], budget: Budget) -> None:
    """Count the entries, folders too, before zipfile makes an object of each."""
    signature, tail, found = b"PK\x01\x02", b"", 0
    while block := file.read(SCAN_BYTES):
        found += (tail + block).count(signature)
        tail = block[-len(signature) + 1 :]
        budget.check_entries(found // 2)
    file.seek(0)


def _zip_content(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget, rationed: _Rationed
) -> Iterator[bytes]:
    _check_zip_entry(info)
    with _broken_is("bad_archive", "this file of the archive cannot be read"), archive.open(info) as content:
        while chunk := content.read(READ_BYTES):
            rationed.renew()
            budget.spend(len(chunk))
            yield chunk


def _check_zip_entry(info: zipfile.ZipInfo) -> None:
    check_name(info.orig_filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ItemError("not_a_file", "this entry of the archive is a link or a device, not a file")
    if info.flag_bits & 0x1:
        raise ItemError("encrypted", "this file of the archive is encrypted")
    if info.file_size > max(RATIO_FREE_BYTES, info.compress_size * MAX_RATIO):
        raise ItemError("compression_ratio", f"this file unpacks to more than {MAX_RATIO} times its packed size")


def _tar(file: IO[bytes], kind: ArchiveKind, budget: Budget) -> Iterator[Entry]:
    plain = gzip.GzipFile(fileobj=file, mode="rb") if kind == "gzip" else file
    rationed = _Rationed(plain, MAX_TAR_HEADERS)
    with tarfile.open(fileobj=cast(IO[bytes], rationed), mode="r:") as archive:
        for place, member in enumerate(_members(archive, rationed)):
            budget.check_entries(place // 2)  # folders and system files too, as in a zip
            budget.spend(member.size)
            if not member.isdir() and not is_junk(member.name):
                budget.entry()
                yield Entry(member.name, _tar_content(archive, member, rationed))


def _members(archive: tarfile.TarFile, rationed: _Rationed) -> Iterator[tarfile.TarInfo]:
    """Every entry, none of which tarfile keeps. Raises tarfile.ReadError for one that leads back to where it was."""
    while (member := archive.next()) is not None:
        archive.members, archive.pax_headers = [], {}  # type: ignore[attr-defined]
        if member.size < 0:
            raise tarfile.ReadError("a size is below zero")
        rationed.renew()
        yield member
        rationed.renew()


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo, rationed: _Rationed) -> Iterator[bytes]:
    check_name(member.name)
    if not member.isreg():
        raise ItemError("not_a_file", "this entry of the archive is a link or a device, not a file")
    with _broken_is("bad_archive", "this file of the archive cannot be read"):
        content = archive.extractfile(member)
        while content is not None and (chunk := content.read(READ_BYTES)):
            rationed.renew()
            yield chunk


class _Rationed:
    """A file that gives at most `ration` bytes until that is renewed.

    Python's readers would take a directory or a name of gigabytes into memory where a header says so.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, ration: int) -> None:
        self._file, self._ration, self._left = file, ration, ration
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def renew(self) -> None:
        self._left = self._ration

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        data = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("its headers are too long")
        return data


@contextmanager
def _broken_is(code: str, detail: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise ItemError(code, f"{detail}: {error}") from error
