"""`Idempotency-Key` on every POST of the API: a repeated request returns the first response and does nothing twice.

Requests are the same if method, URL, content type and body are equal, apart from the boundary of a multipart body.
Errors are not stored: nothing was done, and a retry may succeed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from typing import IO, Any, cast

from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from shared.access.idempotency import StoredResponse
from shared.domain.errors import DarkroomError, Fault, InvalidRequest, Unavailable
from web.state import caller, state

#: Valid keys: visible ASCII characters.
KEY = re.compile(r"[!-~]{1,255}")
#: Headers that the server sets on each response, and so are not stored.
SERVER_HEADERS = {"content-length", "date", "server", "connection"}
READ_BYTES = 64 * 1024


def install(app: Flask) -> None:
    """Register the handlers of the header on `app`."""
    app.before_request(_begin)
    app.after_request(_end)


def given_key() -> str | None:
    """Return the key of the current request, prefixed with the owner of its API key."""
    key: str | None = g.get("idempotency", (None, None))[0]
    return key


def _begin() -> Response | None:
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST" or not request.path.startswith("/v1/") or "key" not in g:
        return None
    if not KEY.fullmatch(key):
        raise _wrong("must be 1 to 255 visible ASCII characters")
    key = f"{caller().owner} {key}"  # the same key of another owner is a different key
    body = HashedStream(request.stream, request.mimetype_params.get("boundary", ""))  # raises if it is too long
    before = state().key_lock.begin(key)
    request.stream = cast(IO[bytes], body)
    if before is not None:
        return _replay(before, body)
    g.idempotency = key, body
    return None


def _replay(before: StoredResponse, body: HashedStream) -> Response:
    if _digest(body) != before.request:
        raise _wrong("was already sent with a different request: use a new key")
    response = Response(before.body, before.status, before.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _end(response: Response) -> Response:
    key, body = g.pop("idempotency", (None, None))
    if key is not None:
        answer = _answer(response, body) if response.status_code < 400 else None
        with contextlib.suppress(Unavailable):  # the work is done, so the client gets its response
            state().key_lock.finish(key, answer)
    return response


def _answer(response: Response, body: HashedStream) -> StoredResponse | None:
    """Return what to store; None if the body is cut short or too long, so that no repeat could be the same request."""
    try:
        digest = _digest(body)
    except (DarkroomError, HTTPException, ParseException, OSError):
        return None
    headers = {name: value for name, value in response.headers.items() if name.lower() not in SERVER_HEADERS}
    return StoredResponse(digest, response.status_code, headers, response.get_data(as_text=True))


def _digest(body: HashedStream) -> str:
    """Return the digest of the request, after reading what the view has left of its body."""
    while body.read(READ_BYTES):
        pass
    what = [request.method, request.path, request.query_string.decode("latin-1"), request.mimetype, body.hexdigest()]
    return hashlib.sha256("\n".join(what).encode()).hexdigest()


def _wrong(detail: str) -> InvalidRequest:
    return InvalidRequest(f"the Idempotency-Key {detail}", [Fault("Idempotency-Key", detail)])


class HashedStream(io.RawIOBase):
    """A request body that is hashed as it is read, without its boundary, which differs in each request."""

    def __init__(self, stream: IO[bytes], boundary: str) -> None:
        self._stream, self._boundary = stream, boundary.encode("latin-1", "replace")
        self._sha256, self._tail = hashlib.sha256(), b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer` and hash what was read. Return the number of bytes."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._add(data)
        return len(data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of everything read so far."""
        whole = self._sha256.copy()
        whole.update(self._tail)
        return whole.hexdigest()

    def _add(self, data: bytes) -> None:
        if not self._boundary:
            self._sha256.update(data)
            return
        *whole, rest = (self._tail + data).split(self._boundary)
        for part in whole:
            self._sha256.update(part)
        kept = max(0, len(rest) - len(self._boundary) + 1)  # may be the beginning of a boundary
        self._sha256.update(rest[:kept])
        self._tail = rest[kept:]
