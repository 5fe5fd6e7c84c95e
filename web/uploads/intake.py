"""Store the pictures of one request, also those in its archives.

A file that cannot be accepted becomes a failed Item; it never fails its neighbours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from shared.datasets.labels_file import LabelsFile, Listed, is_labels_file, read_labels_file
from shared.domain.entities import Failure, SkippedFile, Upload, blob_key
from shared.domain.errors import ItemError, TooLarge
from shared.domain.file_names import UniqueNames, shown_name
from shared.domain.junk import is_sidecar
from shared.domain.sizes import readable_bytes
from shared.images.formats import ArchiveKind
from shared.images.headers import inspect
from shared.settings import Settings
from shared.storage.blobs import BlobStore
from web.uploads.archive_entries import Budget, Entry, Names
from web.uploads.archives import read_archive
from web.uploads.hard_links import HardLinks
from web.uploads.pack import PACKED_BYTES, Pack
from web.uploads.picture_labels import Labelling
from web.uploads.spool import MEMORY_BYTES, Spooled, spool

#: Longest file name that is kept, in characters. A longer one loses its beginning: those are outer folders.
MAX_FILENAME = 255
#: Bytes of one file after which free space is checked again.
ROOM_CHECK_BYTES = 8 * 1024 * 1024
#: Pictures, and their bytes, that wait to be stored together: as many as are recorded, and mostly claimed, together.
WAITING_PICTURES, WAITING_BYTES = 256, 2 * MEMORY_BYTES
#: Codes of files that do not even begin like pictures.
NO_PICTURE = {"empty_file", "unsupported_format"}


class Intake:
    """Stores the files of one request for one Job while they arrive."""

    def __init__(
        self,
        blobs: BlobStore,
        limits: Settings,
        job_id: str,
        *,
        archives: bool = True,
        encoding: str | None = None,
        labelling: Labelling | None = None,
    ) -> None:
        """Without `archives` only pictures are accepted. `encoding` is that of names in archives that are not UTF-8.

        With `labelling` the pictures get Labels; archives may have a list of them. They are not packed: each is deleted
        when the Dataset has it.
        """
        self._blobs, self._limits, self._job_id, self._archives = blobs, limits, job_id, archives
        self._budget, self._names = Budget(limits.max_request_bytes, limits.max_items), Names(encoding)
        self.labelling = labelling
        self._encoding = encoding
        self._count = 0
        self._waiting: dict[str, bytes] = {}
        self._waiting_bytes = 0
        #: Where the packed pictures are, by digest: those that are not recorded yet, and all if links may still follow.
        self._places: dict[str, str] = {}
        self._may_link = False
        #: Skipped files in archives, so far.
        self.skipped: list[SkippedFile] = []

    @property
    def guessed(self) -> set[str]:
        """Return the encodings that were guessed for names in archives, so far."""
        return self._names.guessed

    def take(self, filename: str, chunks: Iterable[bytes]) -> Iterator[Upload]:
        """Take one file; yield its upload, or those of an archive's files. Their `key` is still empty.

        Their bytes are stored after the next call of `stored`. Raise TooLarge if a limit of the whole request is
        passed, StorageFull, Unavailable.
        """
        limits, self._may_link = self._limits, False
        with self._spool(chunks, limits.max_request_bytes if self._archives else limits.max_file_bytes) as file:
            if file.archive and self._archives:
                yield from self._unpack(clean_filename(filename), file, file.archive)
            else:
                yield self._counted(self._labelled(self._store(clean_filename(filename), file)))

    def stored(self, uploads: Iterable[Upload]) -> list[Upload]:
        """Store the pictures that wait, and return all uploads since the last call with the packs that have them.

        Call it before the uploads are recorded. Raise StorageFull, Unavailable.
        """
        self._write()
        found = [
            upload if upload.failure else replace(upload, pack=self._places.get(upload.sha256)) for upload in uploads
        ]
        if not self._may_link:
            self._places.clear()
        return found

    def _write(self) -> None:
        """Store the pictures that wait: small ones in a pack, if there are several."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        small = [digest for digest, content in waiting.items() if len(content) <= PACKED_BYTES]
        contents, places = dict[str, bytes | bytearray](), dict[str, str]()
        if len(small) > 1 and self.labelling is None:
            pack = Pack({digest: waiting.pop(digest) for digest in small})
            contents[blob_key(self._job_id, pack.stored_as)], places = pack.content, pack.places
        contents |= {blob_key(self._job_id, digest): content for digest, content in waiting.items()}
        self._blobs.put_all(contents)
        self._places |= places

    def _unpack(self, filename: str, file: Spooled, kind: ArchiveKind) -> Iterator[Upload]:
        names, links = UniqueNames(), HardLinks()
        self._may_link = kind != "zip"
        try:
            labels = self._read_labels(filename, file, kind)
            for entry in read_archive(file.content, kind, self._budget, self._names, filename):
                name = clean_filename(entry.name)
                if self.labelling and is_labels_file(name):
                    continue
                upload = None if entry.junk else self._entry(names.add(name), entry, links)
                if upload is not None:
                    yield self._counted(self._labelled(upload, labels))
                elif entry.target is None:
                    self.skipped.append(SkippedFile(filename, name))
        except ItemError as error:
            yield self._counted(_refused(filename, error, file))
            return
        for upload in links.late():
            yield self._counted(self._labelled(upload, labels))
        for missing in labels.missing():
            yield self._counted(_refused(missing.file, missing))

    def _read_labels(self, filename: str, file: Spooled, kind: ArchiveKind) -> LabelsFile:
        """Return the lists of Labels in an archive, which may stand behind the pictures. Raise ItemError, TooLarge."""
        if self.labelling is None:
            return LabelsFile()
        names, lines, limits = list[str](), list[Listed](), self._limits
        budget = Budget(limits.max_request_bytes, limits.max_items)
        for entry in read_archive(file.content, kind, budget, Names(self._encoding), filename, again=True):
            if is_labels_file(entry.name):
                with self._spool(entry.chunks, limits.max_file_bytes) as content:
                    lines += read_labels_file(clean_filename(entry.name), content.content.read())
                budget.check_entries(len(lines))
            else:
                names.append(clean_filename(entry.name))
        file.content.seek(0)
        return LabelsFile(lines, names)

    def _labelled(self, upload: Upload, labels: LabelsFile | None = None) -> Upload:
        """Return the upload with its Label, if it is for a Dataset; a refused one if the Label is not allowed."""
        if self.labelling is None or upload.failure:
            return upload
        try:
            listed = labels.find(upload.filename) if labels else None
            return self.labelling.apply(upload, listed)
        except ItemError as error:
            return _refused(upload.filename, error)

    def _entry(self, filename: str, entry: Entry, links: HardLinks) -> Upload | None:
        """Return the upload of a file in an archive; None if it is skipped, or a link to a file that comes later."""
        try:
            with self._spool(entry.chunks, self._limits.max_file_bytes) as file:
                if entry.target is not None:
                    return links.linked(filename, entry)
                if file.archive:
                    raise ItemError("nested_archive", "an archive inside an archive is not opened")
                upload = self._store(filename, file)
        except ItemError as error:
            upload = _refused(filename, error)
        if upload.failure and upload.failure.code in NO_PICTURE and is_sidecar(filename):
            return None
        links.add(entry, upload)
        return upload

    def _store(self, filename: str, file: Spooled) -> Upload:
        """Check one picture's header, and store its bytes or let them wait for others."""
        try:
            if file.too_long:
                raise too_large(self._limits.max_file_bytes)
            header = inspect(file.content, self._limits.max_pixels)
        except ItemError as error:
            return _refused(filename, error, file)
        file.content.seek(0)
        if file.in_memory:
            self._put_later(file.sha256, file.content.read())
        else:
            self._blobs.put(blob_key(self._job_id, file.sha256), file.content)
        media_type = header.format.media_type
        return Upload("", filename, file.size, file.sha256, media_type, width=header.width, height=header.height)

    def _put_later(self, sha256: str, content: bytes) -> None:
        if sha256 in self._waiting or sha256 in self._places:
            return
        self._waiting[sha256] = content
        self._waiting_bytes += len(content)
        if len(self._waiting) >= WAITING_PICTURES or self._waiting_bytes >= WAITING_BYTES:
            self._write()

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


def too_large(limit: int) -> ItemError:
    """Return the error of a file with more than `limit` bytes."""
    return ItemError("file_too_large", f"the file is too large: at most {readable_bytes(limit)} are allowed")


def _refused(filename: str, error: ItemError, file: Spooled | None = None) -> Upload:
    """Return the upload of a file that was not accepted; none of its bytes are stored."""
    failure = Failure(error.code, str(error))
    return Upload("", filename, file.size if file else 0, file.sha256 if file else "", failure=failure)
