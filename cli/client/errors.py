"""Errors of the client.

    ClientError
    ├── Misconfigured   the URL or the API key cannot be used in a request
    ├── Unreachable     no response, and retries did not help
    ├── TimedOut        the job did not finish in time; it is still running
    ├── NotSent         nothing to send, or a file could not be sent
    └── Refused         the service responded with an error
        ├── Invalid     400, 413, 415, 422 and others: the request is wrong; see `faults`
        ├── NotAllowed  401, 403: the API key is missing or lacks a scope
        ├── NotFound    404: no such job, item or model version
        ├── Conflict    409: the state of the resource forbids the request
        ├── Changed     412, 428: the resource has changed since it was read
        └── Unavailable 429 and 5xx: try again later, after `retry_after_s` if given

`cli/client/transport.py` translates the errors of httpx.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ClientError(Exception):
    """Base class; `str(error)` is a sentence for people."""


class Misconfigured(ClientError):
    """The URL or the API key cannot be used in a request."""


class Unreachable(ClientError):
    """No response: nothing listens there, or connections broke and retries did not help."""


class TimedOut(ClientError):
    """The job did not finish in time. It is still running."""


class NotSent(ClientError):
    """Nothing to send, or a file could not be sent."""


@dataclass(frozen=True)
class Fault:
    """One wrong field of a request: its JSON pointer or name, and what is wrong."""

    pointer: str
    detail: str


class Refused(ClientError):
    """The service responded with an error: HTTP `status` and problem document (RFC 9457)."""

    def __init__(
        self, status: int, detail: str, faults: Sequence[Fault] = (), retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s


class Invalid(Refused):
    """The request is wrong; `faults` names each wrong field."""


class NotAllowed(Refused):
    """The API key is missing or lacks a scope."""


class NotFound(Refused):
    """No such job, item or model version."""


class Conflict(Refused):
    """The state of the resource forbids the request."""


class Changed(Refused):
    """The resource has changed since it was read."""


class Unavailable(Refused):
    """Try again later, after `retry_after_s` seconds if given."""


#: Error classes by status; other statuses below 500 are Invalid, the rest Unavailable.
STATUSES: dict[int, type[Refused]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Changed,
    428: Changed,
    429: Unavailable,
}


def error_class(status: int) -> type[Refused]:
    """Return the error class for an HTTP status of 300 or above."""
    return STATUSES.get(status, Invalid if status < 500 else Unavailable)
