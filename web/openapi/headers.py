"""The headers that requests and answers carry, by name, as the OpenAPI document has them."""

from __future__ import annotations

from typing import Any

from web.schemas.requests import MAX_WAIT_S


def _text(description: str, example: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


def _seconds(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}, "example": 1}


#: Headers of answers.
HEADERS: dict[str, dict[str, Any]] = {
    "Location": _text("The address of what was made.", "/v1/jobs/9d2b0c9a4cb34fb0a3a1f5e0c7d8e9fa"),
    "Retry-After": _seconds("Seconds until it pays to ask again."),
    "ETag": _text("Changes with what is answered; for `If-None-Match` and `If-Match`.", 'W/"9d2b0c9a-7"'),
    "Link": _text('`rel="next"`: the next page, where there is one.', '</v1/jobs?after=WyJqb2IiXQ>; rel="next"'),
    "Cache-Control": _text("For how long the answer may be kept, and by whom.", "private, no-cache"),
    "Preference-Applied": _text("The `Prefer` that was heeded (RFC 7240).", "wait=30"),
    "X-Job-Done": _text("Whether the job is over, and the file so complete.", "true", enum=["true", "false"]),
    "Content-Disposition": _text("A name to save the file under.", 'attachment; filename="darkroom-9d2b0c9a.csv"'),
    "Idempotency-Replayed": _text("There where this is the first answer again.", "true", enum=["true"]),
    "RateLimit": _text("What is left of each limit, and until when.", '"requests";r=12;t=1800'),
    "RateLimit-Policy": _text("The limits that the key has.", '"requests";q=1000;w=3600'),
    "WWW-Authenticate": _text("How to sign in.", "Bearer"),
}

#: Headers of requests. Without examples: a page that sends requests would fill them in.
PARAMETERS: dict[str, dict[str, Any]] = {
    "Prefer": {
        "description": "`wait=N` (RFC 7240): wait for the job's end, up to N seconds, at most "
        f"{MAX_WAIT_S}. Where many wait already, and where the time is over, the answer is the 202 that it would have "
        "been.",
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "description": "The first answer to this key is given again for 24 hours, and nothing is done twice. 409 while "
        "the first request is in work; 422 where the key came with another request. A refusal (400 and above) is not "
        "kept: nothing was done, and the key is free again.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "If-None-Match": {
        "description": "ETags that the client has: 304 where one of them is the present one.",
        "schema": {"type": "string"},
    },
    "If-Match": {
        "description": "The ETag that the client has seen, or `*` for any: 412 where it is another now, 428 without.",
        "required": True,
        "schema": {"type": "string"},
    },
}
