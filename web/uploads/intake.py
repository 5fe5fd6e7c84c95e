"""Store the pictures of one request, also those in its archives.

A file that cannot be accepted becomes a failed Item; it never fails its neighbours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from shared.domain.entities import Failure, Upload, blob_key
from shared.domain.errors import ItemError, TooLarge
from shared.domain.file_names import shown_name
from shared.images.headers import inspect
from shared.settings import Settings
from shared.storage.blobs import BlobStore
from web.uploads.archives import Budget, read_archive
from web.uploads.spool import MEMORY_BYTES, Spooled, spool

#: Longest file name that is kept, in characters. A longer one loses its beginning: those are outer folders.
MAX_FILENAME = 255
#: Bytes of one file after which free space is checked again.
ROOM_CHECK_BYTES = 8 * 1024 * 1024


class Intake:
    """Stores the files of one request for one Job while they arrive."""

    def __init__(self, blobs: BlobStore, limits: Settings, job_id: str, *, archives: bool = True) -> None:
        """Without `archives` only pictures are accepted."""
        self._blobs, self._limits, self._job_id, self._archives = blobs, limits, job_id, archives
        self._budget = Budget(limits.max_request_bytes, limits.max_items)
        self._count = 0

    def take(self, filename: str, chunks: Iterable[bytes]) -> Iterator[Upload]:
        """Store one file; yield its upload, or those of an archive's files. Their `key` is still empty.

        Raise TooLarge if a limit of the whole request is passed, StorageFull, Unavailable.
        """
        limits = self._limits
        with self._spool(chunks, limits.max_request_bytes if self._archives else limits.max_file_bytes) as file:
            if file.archive and self._archives:
                yield from self._unpack(clean_filename(filename), file)
            else:
                yield self._counted(self._store(clean_filename(filename), file))

    def _unpack(self, filename: str, file: Spooled) -> Iterator[Upload]:
        try:
            for entry in read_archive(file.content, file.archive or "zip", self._budget):
                yield self._counted(self._entry(clean_filename(entry.name), entry.chunks))
        except ItemError as error:
            yield self._counted(_refused(filename, error, file))

    def _entry(self, filename: str, chunks: Iterator[bytes]) -> Upload:
        try:
            with self._spool(chunks, self._limits.max_file_bytes) as file:
                if file.archive:
                    raise ItemError("nested_archive", "an archive inside an archive is not opened")
                return self._store(filename, file)
        except ItemError as error:
            return _refused(filename, error)

    def _store(self, filename: str, file: Spooled) -> Upload:
        """Check one picture's header and store its bytes."""
        try:
            if file.too_long:
                limit = self._limits.max_file_bytes
                raise ItemError("file_too_large", f"the file has {file.size} bytes; at most {limit} are allowed")
            header = inspect(file.content, self._limits.max_pixels)
        except ItemError as error:
            return _refused(filename, error, file)
        file.content.seek(0)
        content = file.content.read() if file.size <= MEMORY_BYTES else file.content
        self._blobs.put(blob_key(self._job_id, file.sha256), content)
        media_type = header.format.media_type
        return Upload("", filename, file.size, file.sha256, media_type, width=header.width, height=header.height)

    def _spool(self, chunks: Iterable[bytes], max_archive: int) -> contextlib.AbstractContextManager[Spooled]:
        watched = self._while_room(chunks)
        return spool(watched, self._limits.max_file_bytes, max_archive, self._blobs.temporary_folder)

    def _while_room(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same chunks; raise StorageFull if the disk fills up: not every length is known beforehand."""
        unchecked = 0
        for chunk in chunks:
            unchecked += len(chunk)
            if unchecked > ROOM_CHECK_BYTES:
                self._blobs.check_free_space()
                unchecked = 0
            yield chunk

    def _counted(self, upload: Upload) -> Upload:
        self._count += 1
        if self._count > self._limits.max_items:
            raise TooLarge(f"the request has more than {self._limits.max_items} pictures")
        return upload


def with_key(upload: Upload, key: str) -> Upload:
    """Return the same upload under a key."""
    return replace(upload, key=key)


def raise_failure(upload: Upload) -> None:
    """Raise ItemError if the upload was refused."""
    if upload.failure is not None:
        raise ItemError(upload.failure.code, upload.failure.detail)


def clean_filename(name: str) -> str:
    """Return a name as it is shown, cut to MAX_FILENAME characters. No file is opened by it."""
    return shown_name(name).rstrip()[-MAX_FILENAME:].lstrip() or "unnamed"


def _refused(filename: str, error: ItemError, file: Spooled | None = None) -> Upload:
    """Return the upload of a file that was not accepted; none of its bytes are stored."""
    failure = Failure(error.code, str(error))
    return Upload("", filename, file.size if file else 0, file.sha256 if file else "", failure=failure)
