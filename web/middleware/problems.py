"""Errors as `application/problem+json` (RFC 9457), or as an HTML page if a browser asks."""

from __future__ import annotations

import contextlib
import json
import logging
from http import HTTPStatus
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
from shared.logs import with_cause

log = logging.getLogger(__name__)

#: HTTP statuses of our errors; the first class that matches counts.
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
#: HTTP statuses of refused pictures by error code; other codes are 422.
ITEM_STATUSES = {"unsupported_format": 415, "file_too_large": 413, "too_many_pixels": 413}
#: `Retry-After` of a 503 in seconds.
RETRY_AFTER_S = 5
#: The same if the disk is full: files must be deleted, or jobs expire, before a retry helps.
FULL_RETRY_AFTER_S = 60

#: Authentication challenge of a 401 or 403.
REALM = 'Bearer realm="Darkroom"'

#: Bytes of a refused request that are still read: many clients read the response only after sending everything.
DRAIN_BYTES = 16 * 1024 * 1024


def install(app: Flask) -> None:
    """Register the error handlers on `app`."""
    app.register_error_handler(DarkroomError, _darkroom_error)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(ClientDisconnected, _malformed_body)
    app.register_error_handler(ParseException, _malformed_body)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: DarkroomError) -> int:
    """Return the HTTP status of one of our errors."""
    if isinstance(error, ItemError):
        return ITEM_STATUSES.get(error.code, 422)
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)


def problem(status: int, detail: str, errors: list[dict[str, str]] | None = None, code: str | None = None) -> Response:
    """Return a problem document, or its page; `errors` lists the wrong fields, `code` is an item's error code."""
    drain()
    response = _page(status, detail) if wants_page() else _document(status, detail, {"errors": errors, "code": code})
    if not request.path.startswith("/v1"):
        response.vary.add("Accept")
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _page(status: int, detail: str) -> Response:
    return Response(render_template("error.html", title=HTTPStatus(status).phrase.capitalize(), detail=detail), status)


def _document(status: int, detail: str, extra: dict[str, Any]) -> Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,  # as RFC 9457, 4.2.1 asks for about:blank
        "status": status,
        "detail": detail,
        "instance": quote(request.path),
    }
    body |= {name: value for name, value in extra.items() if value}
    return Response(json.dumps(body), status, content_type="application/problem+json")


def _darkroom_error(error: DarkroomError) -> Response:
    faults = error.faults if isinstance(error, InvalidRequest) else ()
    errors = [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults]
    status = status_of(error)
    if status >= 500:
        log.warning("%s %s: %s", request.method, request.path, with_cause(error))
    response = problem(status, str(error), errors, error.code if isinstance(error, ItemError) else None)
    response.headers.update(_challenge(error))
    if isinstance(error, StorageFull):
        response.headers["Retry-After"] = str(FULL_RETRY_AFTER_S)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _challenge(error: DarkroomError) -> dict[str, str]:
    """Return the header that says which key is needed (RFC 6750)."""
    if isinstance(error, NotAuthenticated):
        return {"WWW-Authenticate": f'{REALM}, error="invalid_token"' if error.given else REALM}
    if isinstance(error, NotAllowed) and error.scope:
        return {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{error.scope}"'}
    return {}


def _http_exception(error: HTTPException) -> Response:
    response = problem(error.code or 500, error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _malformed_body(_error: Exception) -> Response:
    return problem(400, "the request body ended too early, or its chunked encoding is malformed")


def _unexpected(error: Exception) -> Response:
    log.exception("%s %s", request.method, request.path, exc_info=error)
    return problem(500, "unexpected error; see the log of the web process")


def drain() -> None:
    """Read the rest of the request body, up to DRAIN_BYTES; nothing if the client waits for `100 Continue`.

    Read from gunicorn's stream, which ends with the body: Flask's raises an error if the body is over a limit.
    """
    left = 0 if "Expect" in request.headers else DRAIN_BYTES
    with contextlib.suppress(Exception):
        while left > 0 and (data := request.environ["wsgi.input"].read(64 * 1024)):
            left -= len(data)


def wants_page() -> bool:
    """Return whether the request comes from a browser outside the API."""
    if request.path.startswith("/v1"):
        return False
    return (
        request.accept_mimetypes.best_match(["application/problem+json", "application/json", "text/html"])
        == "text/html"
    )
