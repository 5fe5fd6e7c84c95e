"""Unpack files that are compressed as a whole: gzip, bzip2, xz and Zstandard."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import IO, Final, cast

from backports.zstd import ZstdFile

from shared.images.formats import ArchiveKind

#: Bytes that unpacking xz may take: twice what its highest preset needs. Zstandard has such a limit by itself.
MAX_XZ_MEMORY: Final = 128 * 1024 * 1024
#: Bytes unpacked at a time.
BLOCK_BYTES: Final = 64 * 1024
#: Endings of the names of compressed files.
ENDINGS: Final = (".gz", ".bz2", ".xz", ".zst")


def unpacked(file: IO[bytes], kind: ArchiveKind) -> io.BufferedIOBase:
    """Return the unpacked content of a file, to be read from its start to its end, once.

    Reading raises OSError, EOFError, zlib.error, lzma.LZMAError or ZstdError if the file is damaged or cut short.
    """
    file.seek(0)
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb")
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "zstd":
        return cast(io.BufferedIOBase, ZstdFile(file))
    return io.BufferedReader(_Xz(file), BLOCK_BYTES)


def without_ending(name: str) -> str:
    """Return the name of what is in a compressed file: `cat.png` for `cat.png.gz`."""
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending.lower()}" in ENDINGS else name


class _Xz(io.RawIOBase):
    """An unpacked xz file. `lzma.LZMAFile` is the same without a limit on memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._place = file, 0
        self._unpacker = self._new()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Skip forward."""
        left = offset - (self._place if whence == io.SEEK_SET else 0)
        if left < 0:
            raise OSError("the archive leads back to what was unpacked already")
        while left > 0 and (skipped := len(self._unpack(min(left, BLOCK_BYTES)))):
            left -= skipped
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._unpack(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _unpack(self, size: int) -> bytes:
        data = b""
        while not data:
            packed = b""
            if self._unpacker.eof:
                packed = (self._unpacker.unused_data or self._file.read(BLOCK_BYTES)).lstrip(b"\0")  # padding
                if not packed:
                    return b""
                self._unpacker = self._new()
            elif self._unpacker.needs_input and not (packed := self._file.read(BLOCK_BYTES)):
                raise EOFError("the file ends before its last block")
            data = self._unpacker.decompress(packed, size)
        self._place += len(data)
        return data

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)
