"""Headers of requests and responses, by name, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from web.schemas.requests import MAX_WAIT_S


def _text(description: str, example: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


def _seconds(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}, "example": 1}


#: Response headers.
HEADERS: dict[str, dict[str, Any]] = {
    "Location": _text("URL of the created resource.", "/v1/jobs/9d2b0c9a4cb34fb0a3a1f5e0c7d8e9fa"),
    "Retry-After": _seconds("Seconds to wait before the next request."),
    "ETag": _text("Version of the response, for `If-None-Match` and `If-Match`.", 'W/"9d2b0c9a-7"'),
    "Link": _text('URL of the next page (`rel="next"`), if there is one.', '</v1/jobs?after=WyJqb2IiXQ>; rel="next"'),
    "Cache-Control": _text("Whether and for how long the response may be cached.", "private, no-cache"),
    "Preference-Applied": _text("The preference that was applied (RFC 7240).", "wait=30"),
    "X-Job-Done": _text("Whether the job is done, and so the file complete.", "true", enum=["true", "false"]),
    "Content-Disposition": _text("Suggested file name.", 'attachment; filename="darkroom-9d2b0c9a.csv"'),
    "Idempotency-Replayed": _text(
        "Present if this is the stored response of an earlier request.", "true", enum=["true"]
    ),
    "RateLimit": _text("Remaining quota of each limit, and seconds until it resets.", '"requests";r=12;t=1800'),
    "RateLimit-Policy": _text("The limits of the key.", '"requests";q=1000;w=3600'),
    "WWW-Authenticate": _text("How to authenticate.", "Bearer"),
}

#: Request headers. They have no examples: Swagger UI would send those.
PARAMETERS: dict[str, dict[str, Any]] = {
    "Prefer": {
        "description": "`wait=N` (RFC 7240) waits up to N seconds, at most "
        f"{MAX_WAIT_S}, for the job to finish. If it takes longer, or too many clients are waiting, the response is "
        "the usual 202.",
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "description": "Makes a retry safe: for 24 hours, the same request with the same key returns the first "
        "response and does nothing twice. Returns 409 while the first request is in progress, and 422 if the key was "
        "used for a different request. Errors are not stored, so the key can be used again after one.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "If-None-Match": {
        "description": "ETags that the client has. Returns 304 if one of them is current.",
        "schema": {"type": "string"},
    },
    "If-Match": {
        "description": "The ETag that the change is based on, or `*` for any. Returns 412 if it is outdated, and 428 "
        "without this header.",
        "required": True,
        "schema": {"type": "string"},
    },
}
