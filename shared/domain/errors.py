"""Errors of Darkroom.

    DarkroomError
    ├── InvalidRequest        the request has a wrong shape or value
    │   ├── MalformedRequest  the request cannot be parsed
    │   ├── UnsupportedMedia  the content type or file format is not accepted
    │   └── TooLarge          a limit is exceeded
    ├── NotAuthenticated      the API key is missing or unknown
    ├── NotAllowed            the API key lacks a scope
    ├── NotFound              no such job, item, model version or blob
    ├── Conflict              the state of the resource forbids the request
    ├── PreconditionFailed    the resource has changed since the caller read it
    ├── PreconditionRequired  the request must name the state of the resource that it changes
    ├── TooManyRequests       a quota is used up
    ├── Unavailable           a part of the service cannot be reached; try again later
    ├── StorageFull           the storage is full
    ├── ItemError             one picture cannot be classified; others can
    ├── DeliveryError         one attempt to call a webhook failed
    └── ConfigError           a wrong setting stops the start

Adapters translate the errors of their libraries into these, `from` the original; `web/middleware/problems.py` maps them
to HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Names that an error lists.
NAMED = 10


class DarkroomError(Exception):
    """Base class; `str(error)` is a sentence that may be shown to the caller."""


@dataclass(frozen=True)
class Fault:
    """One wrong field of a request. `pointer` is its JSON pointer, or the name of a header or query parameter."""

    pointer: str
    detail: str


class InvalidRequest(DarkroomError):
    """The request has a wrong shape or value; `faults` names each wrong field."""

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)


class MalformedRequest(InvalidRequest):
    """The request cannot be parsed: broken JSON, or a truncated multipart body."""


class UnsupportedMedia(InvalidRequest):
    """The content type or file format is not accepted."""


class TooLarge(InvalidRequest):
    """A limit is exceeded; the sentence names it."""


class NotAuthenticated(DarkroomError):
    """The API key is missing, or unknown if `given` is true."""

    def __init__(self, detail: str, *, given: bool = False) -> None:
        super().__init__(detail)
        self.given = given


class NotAllowed(DarkroomError):
    """The request is not allowed; `scope` is the one that the API key lacks, if that is the reason."""

    def __init__(self, detail: str, scope: str = "") -> None:
        super().__init__(detail)
        self.scope = scope


class NotFound(DarkroomError):
    """No such job, item, model version or blob."""


class Conflict(DarkroomError):
    """The state of the resource forbids the request."""


class PreconditionFailed(DarkroomError):
    """The resource has changed since the caller read it."""


class PreconditionRequired(DarkroomError):
    """The request must name the state of the resource that it changes."""


class TooManyRequests(DarkroomError):
    """A quota is used up until `retry_after_s` seconds have passed."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(DarkroomError):
    """A part of the service cannot be reached. Try again later."""


class StorageFull(DarkroomError):
    """The storage is full."""


class ItemError(DarkroomError):
    """One picture cannot be classified. `code` is stable and meant for programs, `str(error)` is the sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class DeliveryError(DarkroomError):
    """One attempt to call a webhook failed. `code` is stable and meant for programs, `str(error)` is the sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ConfigError(DarkroomError):
    """A wrong setting stops the start; the sentence names it."""


def you_have(names: Iterable[str]) -> str:
    """Return the end of the message of a NotFound that lists what there is, up to NAMED names; empty if nothing."""
    found = sorted(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"; you have: {', '.join(found[:NAMED])}{more}" if found else ""
