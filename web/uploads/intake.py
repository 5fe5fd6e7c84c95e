"""Take in the files of one request: store the pictures, unpack the archives, and add both to a job as items.

One file that cannot be taken becomes a failed item; it never fails its neighbours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from shared.domain.entities import Failure, Upload, blob_key
from shared.domain.errors import ItemError, TooLarge
from shared.images.headers import inspect
from shared.services import Services
from web.uploads.archives import Budget, read_archive
from web.uploads.spool import MEMORY_BYTES, Spooled, spool

#: Longest file name that is kept, in characters. Of a longer one the beginning is cut off: those are outer folders.
MAX_FILENAME = 255
#: Bytes of one file after which the room on the disk is looked at again.
ROOM_CHECK_BYTES = 8 * 1024 * 1024


@dataclass
class Intake:
    """The files of one request on their way into one job, whose pictures are stored as they come."""

    services: Services
    job_id: str
    #: Whether an archive may come; a single item's PUT takes a picture only.
    archives: bool = True
    taken: int = field(default=0, init=False)
    _budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        limits = self.services.settings
        self._budget = Budget(limits.max_request_bytes, limits.max_items)

    def take(self, filename: str, chunks: Iterable[bytes]) -> Iterator[Upload]:
        """One file of the request: one upload, or those of an archive's files; `key` is still empty.

        Raises TooLarge where a limit of the whole request is passed, StorageFull and Unavailable.
        """
        limits = self.services.settings
        max_archive = limits.max_request_bytes if self.archives else limits.max_file_bytes
        with self._spool(chunks, max_archive) as file:
            if file.archive and self.archives:
                yield from self._unpack(clean_filename(filename), file)
            else:
                yield self._counted(self._store(clean_filename(filename), file))

    def _unpack(self, filename: str, file: Spooled) -> Iterator[Upload]:
        try:
            for entry in read_archive(file.content, file.archive or "zip", self._budget):
                yield self._counted(self._entry(clean_filename(entry.name), entry.chunks))
        except ItemError as error:
            yield self._counted(refused(filename, error, file))

    def _entry(self, filename: str, chunks: Iterator[bytes]) -> Upload:
        try:
            with self._spool(chunks, self.services.settings.max_file_bytes) as file:
                if file.archive:
                    raise ItemError("nested_archive", "an archive inside an archive is not opened")
                return self._store(filename, file)
        except ItemError as error:
            return refused(filename, error)

    def _store(self, filename: str, file: Spooled) -> Upload:
        """Check one picture and store its bytes."""
        try:
            if file.too_long:
                limit = self.services.settings.max_file_bytes
                raise ItemError("file_too_large", f"the file has {file.size} bytes; at most {limit} are allowed")
            header = inspect(file.content, self.services.settings.max_pixels)
        except ItemError as error:
            return refused(filename, error, file)
        file.content.seek(0)
        content = file.content.read() if file.size <= MEMORY_BYTES else file.content
        self.services.blobs.put(blob_key(self.job_id, file.sha256), content)
        return Upload(
            "", filename, file.size, file.sha256, header.format.media_type, width=header.width, height=header.height
        )

    def _spool(self, chunks: Iterable[bytes], max_archive: int) -> contextlib.AbstractContextManager[Spooled]:
        blobs = self.services.blobs
        watched = self._while_room(chunks)
        return spool(watched, self.services.settings.max_file_bytes, max_archive, blobs.temporary_folder)

    def _while_room(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks. Raises StorageFull where the disk fills up on the way: not every length is known before."""
        unchecked = 0
        for chunk in chunks:
            unchecked += len(chunk)
            if unchecked > ROOM_CHECK_BYTES:
                self.services.blobs.check_free_space()
                unchecked = 0
            yield chunk

    def _counted(self, upload: Upload) -> Upload:
        self.taken += 1
        if self.taken > self.services.settings.max_items:
            raise TooLarge(f"more than {self.services.settings.max_items} pictures in one job")
        return upload


def refused(filename: str, error: ItemError, file: Spooled | None = None) -> Upload:
    """The upload of a file that was not taken, of which nothing is stored."""
    failure = Failure(error.code, str(error))
    return Upload("", filename, file.size if file else 0, file.sha256 if file else "", failure=failure)


def with_key(upload: Upload, key: str) -> Upload:
    """The same upload under a key."""
    return replace(upload, key=key)


def clean_filename(name: str) -> str:
    """A name as it is kept: without control characters and marks that turn the writing direction, and not too long.

    It is only ever shown; no file is opened by it.
    """
    shown = "".join(" " if char.isspace() else char for char in name if char.isprintable() or char.isspace())
    return shown.rstrip()[-MAX_FILENAME:].lstrip() or "unnamed"
