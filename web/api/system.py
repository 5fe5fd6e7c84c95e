"""Free space on disk and in Redis."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field
from typing_extensions import TypedDict

from shared.jobs.store import MAX_MEMORY_SHARE
from shared.redis.configuration import shortcomings
from shared.storage.blobs import RESERVE_BYTES
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.state import services

blueprint = Blueprint("system", __name__)


class DiskSpace(TypedDict):
    """Space on the disk of the data folder."""

    total_bytes: responses.Count
    free_bytes: responses.Count
    used_bytes: Annotated[responses.Count, Field(description="Used by Darkroom's files; updated once a minute.")]
    reserve_bytes: Annotated[responses.Count, Field(description="Uploads are refused if fewer bytes are free.")]


class RedisState(TypedDict):
    """Memory and configuration of Redis."""

    used_bytes: responses.Count
    max_bytes: Annotated[responses.Count | None, Field(description="Memory limit; null if there is none.")]
    full_bytes: Annotated[
        responses.Count | None, Field(description="Uploads are refused above this; null if there is no limit.")
    ]
    warnings: Annotated[list[str], Field(description="What is missing in its configuration, in words.")]


class Space(TypedDict):
    """Space on disk and in Redis."""

    disk: DiskSpace
    blobs: Annotated[
        Literal["disk", "remote"],
        Field(description="Where pictures are stored; the limits of remote storage are unknown."),
    ]
    redis: RedisState


@blueprint.get("/v1/system")
@allow(ANY_KEY)
@operation({200: Answer(Space)})
def system() -> Response:
    """Get the used and free space on disk and in Redis, in bytes."""
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
                "warnings": shortcomings(parts.redis),
            },
        }
    )
