"""Loading of stored uploads."""

from __future__ import annotations

import hashlib

from shared.domain.entities import blob_key, job_folder
from shared.domain.errors import ItemError, NotFound, Unavailable
from shared.storage.blobs import BlobStore


def load_upload(blobs: BlobStore, job_id: str, sha256: str) -> bytes:
    """Return the bytes of the upload with this digest.

    Raise ItemError (`missing`, `changed` or `unreadable`), or Unavailable if the storage cannot be reached.
    """
    try:
        content = _read(blobs, job_id, sha256)
    except NotFound as error:
        raise ItemError("missing", "the stored image is missing") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ItemError("changed", "the stored image differs from the upload: its SHA-256 does not match")
    return content


def _read(blobs: BlobStore, job_id: str, sha256: str) -> bytes:
    """Return the stored bytes. Raise NotFound, Unavailable, or ItemError if only this file is unreadable."""
    key = blob_key(job_id, sha256)
    try:
        return blobs.get(key)
    except Unavailable:
        blobs.check_readable(job_folder(job_id))
    try:
        return blobs.get(key)  # the storage works now, perhaps after a short outage
    except Unavailable as error:
        raise ItemError("unreadable", "the stored image cannot be read, although the storage works") from error
