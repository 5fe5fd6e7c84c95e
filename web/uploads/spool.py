"""Receive a file of unknown length into bounded memory, with its size, SHA-256 and limit checked on the way."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from shared.images.formats import HEAD_BYTES, ArchiveKind, archive_kind
from shared.storage.blobs import storage_errors

#: Bytes of one file held in memory; a longer file goes to an unnamed temporary file.
MEMORY_BYTES = 1024 * 1024
#: The same if the temporary file becomes the blob, which is written once then: no more than a picture for a pack has.
LOCAL_MEMORY_BYTES = 64 * 1024


@dataclass
class Spooled:
    """A received file. `content` is at its start, and is cut off at the limit if `too_long` is true."""

    content: IO[bytes]
    size: int
    archive: ArchiveKind | None
    too_long: bool
    digest: str | None

    @property
    def in_memory(self) -> bool:
        """Return whether `content` is not a file on a disk."""
        return isinstance(self.content, io.BytesIO)

    @property
    def sha256(self) -> str:
        """Return the SHA-256. That of an archive is seldom needed: it is computed now, of `content`, from its start."""
        if self.digest is None:
            self.content.seek(0)
            self.digest = hashlib.file_digest(self.content, "sha256").hexdigest()  # type: ignore[arg-type]  # has readinto
            self.content.seek(0)
        return self.digest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.content.close()


def spool(chunks: Iterable[bytes], max_picture: int, max_archive: int, folder: str | None = None) -> Spooled:
    """Read all of `chunks` and return the file. Bytes over the limit of its kind are read but not kept.

    `folder` is one for temporary files on the disk of a local store; None if the store is elsewhere.

    Raise StorageFull if the temporary file does not fit on the disk.
    """
    content = _Content(folder)
    try:
        return _fill(content, chunks, max_picture, max_archive)
    except BaseException:
        content.file.close()  # frees its space at once, which matters if the disk is full
        raise


class _Content:
    """Bytes that are kept in memory first, and in a temporary file when they are too many."""

    def __init__(self, folder: str | None) -> None:
        self._folder, self._most = folder, MEMORY_BYTES if folder is None else LOCAL_MEMORY_BYTES
        self.file: IO[bytes] = io.BytesIO()

    def write(self, chunk: bytes) -> None:
        self.file.write(chunk)
        if isinstance(self.file, io.BytesIO) and self.file.tell() > self._most:
            memory, self.file = self.file, _unnamed_file(self._folder)
            self.file.write(memory.getbuffer())


def _unnamed_file(folder: str | None) -> IO[bytes]:
    """Return a temporary file without a name; on Linux one that `BlobStore.put` can give a name to, unlike Python's."""
    try:
        number = os.open(folder or tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):  # another system, or a file system without such files
        return tempfile.TemporaryFile(dir=folder)
    return os.fdopen(number, "w+b")


def _fill(content: _Content, chunks: Iterable[bytes], max_picture: int, max_archive: int) -> Spooled:
    digest = hashlib.sha256()
    size, head, limit = 0, b"", max_picture
    archive: ArchiveKind | None = None
    for chunk in chunks:
        if len(head) < HEAD_BYTES:
            head += chunk[: HEAD_BYTES - len(head)]
            archive = archive_kind(head)
            limit = max_archive if archive else max_picture
        if archive is None:
            digest.update(chunk)
        size += len(chunk)
        if size <= limit:
            with storage_errors("the temporary files"):
                content.write(chunk)
    with storage_errors("the temporary files"):
        content.file.seek(0)
    return Spooled(content.file, size, archive, size > limit, None if archive else digest.hexdigest())
