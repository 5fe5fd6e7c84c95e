"""Every error of the client.

    ClientError
    ├── Misconfigured   an address, or a key, that no request can be made with
    ├── Unreachable     no answer came: nothing runs there, or connections broke and repeats did not help
    ├── TimedOut        the job was not over in time; it goes on
    ├── NotSent         there is nothing to send, or a file could not be sent
    └── Refused         the service answered with an error
        ├── Invalid     400, 413, 415, 422 and others: what was sent is wrong, as `faults` name it
        ├── NotAllowed  401, 403: a key is missing, or does not allow this
        ├── NotFound    404: no such job, item or model version
        ├── Conflict    409: the thing is there, but its state forbids the call
        ├── Changed     412, 428: somebody else changed the thing meanwhile
        └── Unavailable 429 and 5xx: later it may work; `retry_after_s` may say when

`httpx`'s errors are translated once, in `cli/client/transport.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ClientError(Exception):
    """The root; `str(error)` is one sentence that a person may read."""


class Misconfigured(ClientError):
    """An address, or a key, that no request can be made with."""


class Unreachable(ClientError):
    """No answer came: nothing runs there, or connections broke and repeats did not help."""


class TimedOut(ClientError):
    """The job was not over in time; it goes on."""


class NotSent(ClientError):
    """There is nothing to send, or a file could not be sent."""


@dataclass(frozen=True)
class Fault:
    """One wrong field of a request: its JSON pointer or its name, and what is wrong with it."""

    pointer: str
    detail: str


class Refused(ClientError):
    """The service answered with an error: its HTTP `status`, and its problem document (RFC 9457)."""

    def __init__(
        self, status: int, detail: str, faults: Sequence[Fault] = (), retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s


class Invalid(Refused):
    """What was sent is wrong; `faults` name each field that is."""


class NotAllowed(Refused):
    """A key is missing, or does not allow this."""


class NotFound(Refused):
    """No such job, item or model version."""


class Conflict(Refused):
    """The thing is there, but its state forbids the call."""


class Changed(Refused):
    """Somebody else changed the thing meanwhile."""


class Unavailable(Refused):
    """Later it may work; `retry_after_s` may say when."""


#: Statuses and their errors; other statuses below 500 are Invalid, the rest Unavailable.
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
    """The error for an HTTP status of 300 and above."""
    return STATUSES.get(status, Invalid if status < 500 else Unavailable)
