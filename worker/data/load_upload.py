"""Loading of stored uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from shared.domain.entities import Upload, blob_key, job_folder
from shared.domain.errors import ItemError, NotFound, Unavailable
from shared.storage.blobs import BlobStore
from worker.data.pack_reader import PackReader


class UploadsOfChunk:
    """Loads uploads of a job that are named beforehand, what it needs of each pack at once. Thread-safe."""

    def __init__(self, blobs: BlobStore, job_id: str, uploads: Iterable[Upload]) -> None:
        self._blobs, self._job_id = blobs, job_id
        self._packs = PackReader(blobs, (blob_key(job_id, upload.stored_as) for upload in uploads))

    def load(self, upload: Upload) -> bytes:
        """Return the bytes of an upload, and raise what `load_upload` raises."""
        return load_upload(self._blobs, self._job_id, upload.stored_as, upload.sha256, self._packs)


def load_upload(blobs: BlobStore, job_id: str, stored_as: str, sha256: str, packs: PackReader | None = None) -> bytes:
    """Return the bytes of the upload that a job has under this name, and that has this digest.

    With `packs`, which knows its key, it is read together with others.
    Raise ItemError (`missing`, `changed` or `unreadable`), or Unavailable if the storage cannot be reached.
    """
    try:
        content = _read(blobs, job_id, stored_as, packs)
    except NotFound as error:
        raise ItemError("missing", "the stored image is missing") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ItemError("changed", "the stored image differs from the upload: its SHA-256 does not match")
    return content


def _read(blobs: BlobStore, job_id: str, stored_as: str, packs: PackReader | None) -> bytes:
    """Return the stored bytes. Raise NotFound, Unavailable, or ItemError if only this file is unreadable."""
    key = blob_key(job_id, stored_as)
    try:
        return (packs or blobs).get(key)
    except Unavailable:
        blobs.check_readable(job_folder(job_id))
    try:
        return blobs.get(key)  # the storage works now, perhaps after a short outage
    except Unavailable as error:
        raise ItemError("unreadable", "the stored image cannot be read, although the storage works") from error
