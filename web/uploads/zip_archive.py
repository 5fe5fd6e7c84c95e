"""Read the files in a `.zip`, whatever program has made it."""

from __future__ import annotations

import itertools
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from shared.domain.errors import ItemError
from shared.domain.junk import is_junk
from shared.domain.name_encodings import DOS_ENCODINGS, is_utf8
from web.uploads.archive_entries import READ_BYTES, Budget, Entry, LimitedReader, Names, bad_archive, check_name
from web.uploads.spent_space import SpentSpace

#: Ratio of unpacked to packed size above which an entry counts as a bomb; photos have up to 1.1, bitmaps up to 100.
MAX_RATIO = 200
#: Size up to which an entry may have any ratio, in bytes.
RATIO_FREE_BYTES = 1024 * 1024
#: Bytes read into memory at most for the directory: 40 MB for 100,000 names of 255 characters.
MAX_DIRECTORY = 64 * 1024 * 1024
#: Methods of compression that can be read, and names of others: 7-Zip has them, and Windows above 2 GB (4.4.5).
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
OTHER_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 93: "zstd", 95: "xz", 97: "wavpack", 98: "ppmd"}
#: Flags of an entry: its content is encrypted, its name is UTF-8 (PKWARE APPNOTE 4.4.4).
ENCRYPTED, UTF8 = 0x1, 0x800
#: Signatures of the header of a file and of an entry in the directory, and the bytes before the names (4.3.7, 4.3.12).
HEADER, HEADER_BYTES, ENTRY, ENTRY_BYTES = b"PK\x03\x04", 30, b"PK\x01\x02", 46
#: Extra field with the name in UTF-8, and the CRC-32 of the name that it replaces (APPNOTE 4.6.9).
UNICODE_PATH, UNICODE_PATH_BYTES = 0x7075, 5
#: Systems on which an entry was made that separate folders with a backslash: DOS, OS/2, Windows NT, VFAT (4.4.2).
BACKSLASH_SYSTEMS = {0, 6, 10, 14}


def zip_entries(file: IO[bytes], budget: Budget, names: Names, *, again: bool = False) -> Iterator[Entry]:
    """Yield the files of a zip; folders are left out. Errors are those of `read_archive`.

    The space of a temporary file is given back on the way, unless it is to be read again.
    """
    limited = LimitedReader(file, MAX_DIRECTORY)
    with _opened(limited, budget) as archive:
        infos = archive.infolist()
        spent = SpentSpace(file) if not again and _in_order(infos) else None
        for info, name in _named(infos, names):
            limited.renew()
            if spent is not None:
                spent.spend(info.header_offset)
            if name.endswith("/"):
                continue
            if is_junk(name):
                yield Entry(name, iter(()), junk=True)
            else:
                budget.entry()
                yield Entry(name, _content(archive, info, name, budget, limited))


def _in_order(infos: list[zipfile.ZipInfo]) -> bool:
    """Return whether the directory lists the entries as they lie: then nothing before an entry is read after it."""
    return all(info.header_offset <= after.header_offset for info, after in itertools.pairwise(infos))


def _opened(limited: LimitedReader, budget: Budget) -> zipfile.ZipFile:
    """Return the open archive, also if a name is not UTF-8 though it is flagged so, or an extra field is malformed.

    `zipfile` refuses these. Raise TooLarge if the directory has too many entries.
    """
    counted = _Counted(limited, budget)
    try:
        return zipfile.ZipFile(cast(IO[bytes], counted))
    except (UnicodeDecodeError, zipfile.BadZipFile):
        limited.renew()
        return zipfile.ZipFile(cast(IO[bytes], _Mended(counted)))
    finally:
        counted.budget = None


class _Counted:
    """A zip whose directory is counted, with its folders, before `zipfile` makes an object for each entry.

    `zipfile` reads the directory at once. Without `budget` nothing is counted any more.
    """

    def __init__(self, file: LimitedReader, budget: Budget | None) -> None:
        self._file, self.budget = file, budget
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read from the file. Raise TooLarge if this is a directory with too many entries."""
        data = self._file.read(size)
        if self.budget is not None and data.startswith(ENTRY):
            self.budget.check_entries(data.count(ENTRY) // 2)
        return data


class _Mended:
    """A zip in which no name is flagged as UTF-8, and which has no malformed extra field.

    It is for `zipfile`, which reads a header or the directory at once.
    """

    def __init__(self, file: _Counted) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read from the file."""
        data, place = bytearray(self._file.read(size)), 0
        if size == HEADER_BYTES and data.startswith(HEADER):
            data[7] &= ~UTF8 >> 8 & 0xFF
        while data.startswith(ENTRY, place) and place + ENTRY_BYTES <= len(data):
            data[place + 9] &= ~UTF8 >> 8 & 0xFF
            name, extra, comment = struct.unpack_from("<3H", data, place + 28)
            start = place + ENTRY_BYTES + name
            data[start : start + extra] = _well_formed(data[start : start + extra])
            place = start + extra + comment
        return bytes(data)


def _well_formed(extra: bytearray) -> bytes:
    """Return the extra fields of an entry, with zeros from the first malformed one on: empty fields of no meaning."""
    good = 0
    while good + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, good)
        end = good + 4 + length
        if end > len(extra) or (kind == UNICODE_PATH and not _is_unicode_path(bytes(extra[good + 4 : end]))):
            break
        good = end
    return bytes(extra[:good]).ljust(len(extra), b"\0")


def _is_unicode_path(field: bytes) -> bool:
    return len(field) >= UNICODE_PATH_BYTES and is_utf8(field[UNICODE_PATH_BYTES:])


def _named(infos: list[zipfile.ZipInfo], names: Names) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Yield the entries with their names, in which folders end with a slash."""
    stated = [_stated_name(info) for info in infos]
    raw = [_raw_name(info) for info, name in zip(infos, stated, strict=True) if name is None]
    decoded = names.decoded(raw, DOS_ENCODINGS)
    whole = [next(decoded) if name is None else name for name in stated]
    has_no_slash = not any("/" in name for name in whole)
    for info, name in zip(infos, whole, strict=True):
        backslash = has_no_slash or info.create_system in BACKSLASH_SYSTEMS
        yield info, name.replace("\\", "/") if backslash else name


def _stated_name(info: zipfile.ZipInfo) -> str | None:
    """Return the name if its encoding is known, else None."""
    return _unicode_path(info) or (info.orig_filename if info.flag_bits & UTF8 else None)


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name, which `zipfile` decodes as the code page 437 if they are not flagged as UTF-8."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & UTF8 else "cp437", "surrogateescape")


def _unicode_path(info: zipfile.ZipInfo) -> str:
    """Return the name in the extra field, or an empty text if there is none or it belongs to another name."""
    rest = info.extra
    while len(rest) >= 4:
        kind, length = struct.unpack("<HH", rest[:4])
        field, rest = rest[4 : 4 + length], rest[4 + length :]
        if kind == UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(_raw_name(info))):
            return field[5:].decode(errors="ignore")
    return ""


def _content(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, budget: Budget, limited: LimitedReader
) -> Iterator[bytes]:
    check_name(name)
    _check_entry(info)
    with bad_archive("this file in the archive is malformed"), archive.open(info) as content:
        while chunk := content.read(READ_BYTES):
            limited.renew()
            budget.spend(len(chunk))
            yield chunk


def _check_entry(info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ItemError("not_a_file", "this entry in the archive is a link or a device, not a file")
    if info.flag_bits & ENCRYPTED:
        raise ItemError("encrypted", "this file in the archive is encrypted")
    if info.compress_type not in METHODS:
        name = OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        detail = f"this file in the archive is compressed with {name}, which cannot be read: use deflate"
        raise ItemError("bad_archive", detail)
    if info.file_size > max(RATIO_FREE_BYTES, info.compress_size * MAX_RATIO):
        raise ItemError("compression_ratio", f"this file unpacks to more than {MAX_RATIO} times its packed size")
