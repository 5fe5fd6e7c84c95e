"""`/v1/system`: how much room is left. What waits and who works on it is told by `/v1/queues`."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from shared.blobs import RESERVE_BYTES
from shared.jobs.store import FULL
from web.api.requests import Query, query, services

blueprint = Blueprint("system", __name__)


@blueprint.get("/v1/system")
def system() -> Response:
    """The room on the disk and in Redis, in bytes.

    `disk` is the data folder's: `total_bytes`, `free_bytes`, `used_bytes` by Darkroom's files, counted once a minute,
    and `reserve_bytes` that are kept back: with less of them free, uploads are refused. `blobs` says where pictures
    are kept: `disk`, or `remote`, which has no limit that is known here. `redis` has `used_bytes`, `max_bytes` (null
    without a limit) and `full_bytes`, above which uploads are refused (null likewise).
    """
    query(Query, request)
    parts = services()
    disk, (used, limit) = parts.disk.state(), parts.store.memory()
    return jsonify(
        {
            "disk": {
                "total_bytes": disk.total,
                "free_bytes": disk.free,
                "used_bytes": disk.used,
                "reserve_bytes": RESERVE_BYTES,
            },
            "blobs": "remote" if parts.blobs.is_remote else "disk",
            "redis": {
                "used_bytes": used,
                "max_bytes": limit or None,
                "full_bytes": round(FULL * limit) if limit else None,
            },
        }
    )
