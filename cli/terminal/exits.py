"""How the program ends: its exit codes, and what it says on stderr."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn

import click

from cli.client import ClientError, Invalid, Misconfigured, NotAllowed, NotSent, TimedOut, Unavailable, Unreachable


class Exit(IntEnum):
    """The exit codes; `darkroom --help` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NOT_ALLOWED = 4
    CANCELLED = 5
    TIMED_OUT = 6
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it


#: The code for each error; of several classes that fit the first counts, and FAILED where none does.
CODES: dict[type[ClientError], Exit] = {
    Misconfigured: Exit.USAGE,
    NotSent: Exit.USAGE,
    Invalid: Exit.USAGE,
    NotAllowed: Exit.NOT_ALLOWED,
    TimedOut: Exit.TIMED_OUT,
}


def say(message: str) -> None:
    """Tell the person at the terminal something that is no result."""
    click.echo(message, err=True)


def leave(code: Exit, message: str = "") -> NoReturn:
    """End the program."""
    if message:
        say(message)
    raise SystemExit(int(code))


def code_of_job(job: dict[str, Any]) -> Exit:
    """The code for how a finished Job ended."""
    if job["state"] == "succeeded":
        return Exit.SOME_FAILED if job["counts"]["failed"] else Exit.OK
    return Exit.CANCELLED if job["state"] == "cancelled" else Exit.FAILED


@contextmanager
def errors_end_it() -> Iterator[None]:
    """Errors of the client, of files and Ctrl-C end the program, with a sentence and the code."""
    try:
        yield
    except ClientError as error:
        code = next((code for kind, code in CODES.items() if isinstance(error, kind)), Exit.FAILED)
        leave(code, f"Error: {error}{_advice(error)}")
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read the results has enough of them: click ends the program quietly
            raise
        leave(Exit.USAGE, f"Error: {error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        leave(Exit.INTERRUPTED)


@contextmanager
def a_job_goes_on(job_id: str) -> Iterator[None]:
    """Where watching a job ends before the job, say how to come back."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"\nJob {job_id} goes on. To come back: darkroom jobs watch {job_id}")
        raise
    except (TimedOut, Unavailable, Unreachable):
        say(f"To come back: darkroom jobs watch {job_id}")
        raise


def _advice(error: ClientError) -> str:
    if isinstance(error, Unreachable):
        return "\nStart Darkroom with `./darkroom up`, or set DARKROOM_URL to where it runs."
    if isinstance(error, NotAllowed):
        return "\nSet DARKROOM_API_KEY to a key that allows this."
    return ""
