"""Every error that Darkroom raises on purpose.

    DarkroomError
    ├── InvalidRequest        the caller's fault: what was sent has the wrong shape or value
    │   ├── MalformedRequest  bytes that cannot be parsed
    │   ├── UnsupportedMedia  a content type, or a file format, that is not accepted
    │   └── TooLarge          over a limit
    ├── NotAuthenticated      nobody can tell who asks
    ├── NotAllowed            who asks may not do this
    ├── NotFound              no such job, item, model version or blob
    ├── Conflict              the thing is there, but its state forbids the call
    ├── PreconditionFailed    somebody else changed the thing since the caller looked at it
    ├── PreconditionRequired  the caller does not say which state of the thing the change is meant for
    ├── TooManyRequests       who asks has had as much as they may, for now
    ├── Unavailable           a part of the service cannot be reached; trying again later helps
    ├── StorageFull           no room is left to store what was sent
    ├── ItemError             one picture cannot be classified; its neighbours can
    ├── DeliveryError         one attempt to call a webhook failed
    └── ConfigError           a setting that stops the start

An adapter translates its library's errors into these, `from` the original;
`web/middleware/problems.py` maps them to HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class DarkroomError(Exception):
    """The root; `str(error)` is one sentence that a caller may read."""


@dataclass(frozen=True)
class Fault:
    """One wrong field of a request. `pointer` is its JSON pointer, or its name where it is a query parameter."""

    pointer: str
    detail: str


class InvalidRequest(DarkroomError):
    """What was sent has the wrong shape or value; `faults` names each field that is wrong."""

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)


class MalformedRequest(InvalidRequest):
    """The bytes cannot even be parsed: broken JSON, a multipart body cut short."""


class UnsupportedMedia(InvalidRequest):
    """A content type, or a file format, that is not accepted."""


class TooLarge(InvalidRequest):
    """Over a limit; the sentence names the limit."""


class NotAuthenticated(DarkroomError):
    """Nobody can tell who asks. `given` says whether there was a key, which is wrong then."""

    def __init__(self, detail: str, *, given: bool = False) -> None:
        super().__init__(detail)
        self.given = given


class NotAllowed(DarkroomError):
    """Who asks may not do this; `scope` is the one that their key would need, where that is the reason."""

    def __init__(self, detail: str, scope: str = "") -> None:
        super().__init__(detail)
        self.scope = scope


class NotFound(DarkroomError):
    """No such job, item, model version or blob."""


class Conflict(DarkroomError):
    """The thing is there, but its state forbids the call."""


class PreconditionFailed(DarkroomError):
    """Somebody else changed the thing since the caller looked at it."""


class PreconditionRequired(DarkroomError):
    """The caller does not say which state of the thing the change is meant for."""


class TooManyRequests(DarkroomError):
    """Who asks has had as much as they may; `retry_after_s` is when to ask again."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(DarkroomError):
    """A part of the service cannot be reached; trying again later helps."""


class StorageFull(DarkroomError):
    """No room is left to store what was sent."""


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
    """A setting that stops the start; the sentence names it."""
