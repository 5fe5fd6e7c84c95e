"""What the readers of archives share: entries, the limits on them, and their errors."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import IO

from backports.zstd import ZstdError

from shared.domain.errors import ItemError, TooLarge
from shared.domain.name_encodings import decode_name, guess_encoding, is_utf8
from shared.domain.sizes import readable_bytes

#: Bytes of an entry read at a time.
READ_BYTES = 64 * 1024

#: Exceptions that Python's readers raise for a malformed archive.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, ZstdError, EOFError, OSError, ValueError,
          OverflowError, NotImplementedError, RecursionError, struct.error)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A file in an archive. Reading `chunks` raises ItemError if it is refused; the next entries can still be read.

    `junk` is not to be read. A hard link of a tar has no content but a `target`, the `path` of another entry.
    """

    name: str
    chunks: Iterator[bytes]
    junk: bool = False
    path: str | None = None
    target: str | None = None


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
            raise TooLarge(f"the archive unpacks to more than {readable_bytes(self.max_bytes)}")


class Names:
    """Decodes the names in archives that do not say their encoding. `guessed` has the encodings that were guessed."""

    def __init__(self, encoding: str | None = None) -> None:
        """Names are UTF-8 if they can be, else in `encoding`, which is guessed if it is None."""
        self._encoding = encoding
        self.guessed: set[str] = set()

    def decoded(self, raw: Sequence[bytes], encodings: Sequence[str]) -> Iterator[str]:
        """Yield names that belong together. If none is given, their encoding is the most plausible of `encodings`."""
        encoding = self._encoding
        unknown = [name for name in raw if not is_utf8(name)]
        if encoding is None and unknown:
            encoding = guess_encoding(unknown, encodings)
            self.guessed.add(encoding)
        return (decode_name(name, encoding) for name in raw)


class LimitedReader:
    """A file from which at most `limit` bytes can be read before `renew` is called.

    Python's readers would otherwise read a directory or a name of gigabytes into memory if a header says so.
    """

    def __init__(self, file: IO[bytes] | io.BufferedIOBase | gzip.GzipFile, limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def renew(self) -> None:
        """Allow `limit` bytes from here."""
        self._left = self._limit

    def read(self, size: int = -1) -> bytes:
        """Read from the file. Raise tarfile.ReadError if the limit is exceeded."""
        most = self._left + 1
        data = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("the headers are too long")
        return data


def check_name(name: str) -> None:
    """Raise ItemError if a name points outside the archive. It is only shown, but such an archive is an attack."""
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
        raise ItemError("unsafe_name", "the name of this file in the archive is an absolute path")
    if ".." in name.replace("\\", "/").split("/"):
        raise ItemError("unsafe_name", "the name of this file in the archive contains `..`")


@contextmanager
def bad_archive(detail: str) -> Iterator[None]:
    """Translate the errors of Python's readers to ItemError("bad_archive")."""
    try:
        yield
    except BROKEN as error:
        raise ItemError("bad_archive", f"{detail}: {error}") from error
