"""Exit codes, and messages on stderr."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn

import click

from cli.client import (
    ClientError,
    Invalid,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotSent,
    Refused,
    TimedOut,
    Unavailable,
    Unreachable,
)

#: Wrong fields that an error lists.
LISTED_FAULTS = 10


class ExitCode(IntEnum):
    """The exit codes; `darkroom --help` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NOT_ALLOWED = 4
    CANCELLED = 5
    TIMED_OUT = 6
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


#: Exit codes of errors; the first matching class counts, and other errors are FAILED.
CODES: dict[type[ClientError], ExitCode] = {
    Misconfigured: ExitCode.USAGE,
    NotSent: ExitCode.USAGE,
    Invalid: ExitCode.USAGE,
    NotFound: ExitCode.USAGE,
    NotAllowed: ExitCode.NOT_ALLOWED,
    TimedOut: ExitCode.TIMED_OUT,
}


def echo_err(message: str) -> None:
    """Write a message to stderr."""
    click.echo(message, err=True)


def exit_with(code: ExitCode, message: str = "") -> NoReturn:
    """End the program, after a message on stderr if there is one."""
    if message:
        echo_err(message)
    raise SystemExit(int(code))


def job_exit_code(job: dict[str, Any]) -> ExitCode:
    """Return the exit code for a finished Job."""
    if job["state"] == "succeeded":
        return ExitCode.SOME_FAILED if job["counts"]["failed"] else ExitCode.OK
    return ExitCode.CANCELLED if job["state"] == "cancelled" else ExitCode.FAILED


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the program with a message and an exit code on client errors, file errors and Ctrl-C."""
    try:
        yield
    except ClientError as error:
        code = next((code for kind, code in CODES.items() if isinstance(error, kind)), ExitCode.FAILED)
        exit_with(code, f"Error: {error}{_faults(error)}{_advice(error)}")
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of stdout has closed it: click ends the program quietly
            raise
        exit_with(ExitCode.USAGE, f"Error: {error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        exit_with(ExitCode.INTERRUPTED)


@contextmanager
def resume_hint(job_id: str) -> Iterator[None]:
    """Print how to watch the job again if watching it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        echo_err(f"\nJob {job_id} is still running. To watch it again: ./darkroom jobs watch {job_id}")
        raise
    except (TimedOut, Unavailable, Unreachable):
        echo_err(f"To watch it again: ./darkroom jobs watch {job_id}")
        raise


def _faults(error: ClientError) -> str:
    """Return what is wrong with each field, unless the error's own sentence says it."""
    faults = error.faults if isinstance(error, Refused) else ()
    lines = [f"\n  {fault.pointer.lstrip('/')}: {fault.detail}" for fault in faults if fault.detail not in str(error)]
    more = f"\n  … and {len(lines) - LISTED_FAULTS:,} more" if len(lines) > LISTED_FAULTS else ""
    return "".join(lines[:LISTED_FAULTS]) + more


def _advice(error: ClientError) -> str:
    if isinstance(error, Unreachable):
        return "\nStart Darkroom with `./darkroom up`, or set DARKROOM_URL to its address."
    if isinstance(error, NotAllowed):
        return "\nSet DARKROOM_API_KEY to a key that allows this."
    return ""
