"""`/v1/system`: how much room is left. What waits and who works on it is told by `/v1/queues`."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.jobs.store import MAX_MEMORY_SHARE
from shared.storage.blobs import RESERVE_BYTES
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.state import services

blueprint = Blueprint("system", __name__)


class DiskRoom(TypedDict):
    """The disk of the data folder."""

    total_bytes: responses.Count
    free_bytes: responses.Count
    used_bytes: Annotated[responses.Count, Field(description="by Darkroom's files, counted once a minute")]
    reserve_bytes: Annotated[
        responses.Count, Field(description="kept back: with less of them free, uploads are refused")
    ]


class RedisRoom(TypedDict):
    """Redis's memory."""

    used_bytes: responses.Count
    max_bytes: Annotated[responses.Count | None, Field(description="null without a limit")]
    full_bytes: Annotated[responses.Count | None, Field(description="above which uploads are refused; null likewise")]


class Room(TypedDict):
    """How much room is left."""

    disk: DiskRoom
    blobs: Annotated[
        Literal["disk", "remote"],
        Field(description="where pictures are kept; remote storage has no limit that is known here"),
    ]
    redis: RedisRoom


@blueprint.get("/v1/system")
@allow(ANY_KEY)
@operation({200: Answer(Room)})
def system() -> Response:
    """The room on the disk and in Redis, in bytes."""
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
                "full_bytes": round(MAX_MEMORY_SHARE * limit) if limit else None,
            },
        }
    )
