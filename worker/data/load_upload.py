"""A stored picture as it was uploaded, or why there is none."""

from __future__ import annotations

import hashlib

from shared.domain.entities import job_folder
from shared.domain.errors import ItemError, NotFound, Unavailable
from shared.services import Services


def stored(services: Services, job_id: str, sha256: str) -> bytes:
    """The bytes of a picture, which have this digest.

    Raises ItemError `missing`, `changed` or `unreadable`, and Unavailable where the storage cannot be reached.
    """
    try:
        content = _read(services, job_id, sha256)
    except NotFound as error:
        raise ItemError("missing", "the stored picture is gone") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ItemError("changed", "the stored picture is not what was uploaded: its digest differs")
    return content


def _read(services: Services, job_id: str, sha256: str) -> bytes:
    """The stored bytes. Raises NotFound, Unavailable; ItemError where this picture alone cannot be read."""
    try:
        return services.picture(job_id, sha256)
    except Unavailable:
        services.blobs.check_readable(job_folder(job_id))
    try:
        return services.picture(job_id, sha256)  # the storage works, perhaps since a moment ago
    except Unavailable as error:
        raise ItemError("unreadable", "the stored picture cannot be read, though the storage works") from error
