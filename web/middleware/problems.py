"""Every error as `application/problem+json` (RFC 9457), or as a page where a person asked for one."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, render_template, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, HTTPException

from shared.domain.errors import (
    Conflict,
    DarkroomError,
    InvalidRequest,
    ItemError,
    MalformedRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    StorageFull,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMedia,
)

log = logging.getLogger(__name__)

#: Our errors and their statuses; of several classes that fit the first counts.
STATUSES: dict[type[DarkroomError], int] = {
    MalformedRequest: 400,
    UnsupportedMedia: 415,
    TooLarge: 413,
    InvalidRequest: 422,
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    PreconditionRequired: 428,
    TooManyRequests: 429,
    Unavailable: 503,
    StorageFull: 503,
}
#: Statuses of a request for one picture that cannot be taken; other codes are 422.
ITEM_STATUSES = {"unsupported_format": 415, "file_too_large": 413, "too_many_pixels": 413}
#: Seconds after which a client may try again what failed for a reason that passes.
RETRY_AFTER_S = 5
#: The same for a full disk: somebody has to delete something, or jobs have to expire.
FULL_RETRY_AFTER_S = 60

#: How a client shows that it may.
REALM = 'Bearer realm="Darkroom"'

#: Bytes of a refused request that are still read: many clients read the answer only when they have sent everything.
DRAIN_BYTES = 16 * 1024 * 1024

TITLES = {
    400: "The request cannot be read",
    401: "A key is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "The state of the thing forbids this",
    412: "Changed meanwhile",
    413: "Too large",
    414: "The address is too long",
    415: "Unsupported content",
    422: "Something in the request is wrong",
    428: "A condition is needed",
    429: "Too much at once",
    431: "The headers are too long",
    500: "Darkroom failed",
    503: "Temporarily unavailable",
}


def install(app: Flask) -> None:
    """Let `app` answer all errors in this way."""
    app.register_error_handler(DarkroomError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ClientDisconnected, _broken_off)
    app.register_error_handler(ParseException, _broken_off)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: DarkroomError) -> int:
    """The HTTP status of one of our errors."""
    if isinstance(error, ItemError):
        return ITEM_STATUSES.get(error.code, 422)
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)


def problem(status: int, detail: str, errors: list[dict[str, str]] | None = None, code: str | None = None) -> Response:
    """A problem document, or its page; `errors` name the wrong fields, `code` is an item's stable code."""
    drain()
    response = _page(status, detail) if wants_page() else _document(status, detail, {"errors": errors, "code": code})
    if not request.path.startswith("/v1"):
        response.vary.add("Accept")
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _page(status: int, detail: str) -> Response:
    return Response(render_template("error.html", title=TITLES.get(status, ""), detail=detail), status)


def _document(status: int, detail: str, extra: dict[str, Any]) -> Response:
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "instance": quote(request.path),
    }
    body |= {name: value for name, value in extra.items() if value}
    return Response(json.dumps(body), status, content_type="application/problem+json")


def _ours(error: DarkroomError) -> Response:
    faults = error.faults if isinstance(error, InvalidRequest) else ()
    errors = [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults]
    status = status_of(error)
    if status >= 500:
        log.warning("%s %s: %s", request.method, request.path, error)
    response = problem(status, str(error), errors, error.code if isinstance(error, ItemError) else None)
    response.headers.update(_challenge(error))
    if isinstance(error, StorageFull):
        response.headers["Retry-After"] = str(FULL_RETRY_AFTER_S)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _challenge(error: DarkroomError) -> dict[str, str]:
    """What says which key is needed (RFC 6750)."""
    if isinstance(error, NotAuthenticated):
        return {"WWW-Authenticate": f'{REALM}, error="invalid_token"' if error.given else REALM}
    if isinstance(error, NotAllowed) and error.scope:
        return {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{error.scope}"'}
    return {}


def _http(error: HTTPException) -> Response:
    response = problem(error.code or 500, error.description or TITLES.get(error.code or 500, "Error"))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _broken_off(_error: Exception) -> Response:
    """The body ended too early, or was not chunked as HTTP has it."""
    return problem(400, "the request's body broke off, or its chunks are malformed")


def _unexpected(error: Exception) -> Response:
    log.exception("%s %s", request.method, request.path, exc_info=error)
    return problem(500, "an unexpected error; the log of the web process has it")


def drain() -> None:
    """Read on what the client still sends, within reason; not where it waits for leave to send (`100-continue`).

    From gunicorn's own stream, which ends with the body: Flask's ends with an error where the body is over a limit.
    """
    left = 0 if "Expect" in request.headers else DRAIN_BYTES
    with contextlib.suppress(Exception):
        while left > 0 and (data := request.environ["wsgi.input"].read(64 * 1024)):
            left -= len(data)


def wants_page() -> bool:
    """Whether a person asks, with a browser."""
    if request.path.startswith("/v1"):
        return False
    return (
        request.accept_mimetypes.best_match(["application/problem+json", "application/json", "text/html"])
        == "text/html"
    )
