"""Receive a file of unknown length into bounded memory, with its size, SHA-256 and limit checked on the way."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from shared.images.formats import HEAD_BYTES, ArchiveKind, archive_kind
from shared.storage.blobs import storage_errors

#: Bytes of one file held in memory; a longer file goes to an unnamed temporary file.
MEMORY_BYTES = 1024 * 1024


@dataclass
class Spooled:
    """A received file. `content` is at its start, and is cut off at the limit if `too_long` is true."""

    content: IO[bytes]
    size: int
    sha256: str
    archive: ArchiveKind | None
    too_long: bool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.content.close()


def spool(chunks: Iterable[bytes], max_picture: int, max_archive: int, folder: str | None = None) -> Spooled:
    """Read all of `chunks` and return the file. Bytes over the limit of its kind are read but not kept.

    Raise StorageFull if the temporary file does not fit on the disk.
    """
    content = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=folder)  # noqa: SIM115  # Spooled closes it
    try:
        return _fill(content, chunks, max_picture, max_archive)
    except BaseException:
        content.close()  # frees its space at once, which matters if the disk is full
        raise


def _fill(content: IO[bytes], chunks: Iterable[bytes], max_picture: int, max_archive: int) -> Spooled:
    digest = hashlib.sha256()
    size, head, limit = 0, b"", max_picture
    archive: ArchiveKind | None = None
    for chunk in chunks:
        if len(head) < HEAD_BYTES:
            head += chunk[: HEAD_BYTES - len(head)]
            archive = archive_kind(head)
            limit = max_archive if archive else max_picture
        digest.update(chunk)
        size += len(chunk)
        if size <= limit:
            with storage_errors("the temporary files"):
                content.write(chunk)
    with storage_errors("the temporary files"):
        content.seek(0)
    return Spooled(content, size, digest.hexdigest(), archive, size > limit)
