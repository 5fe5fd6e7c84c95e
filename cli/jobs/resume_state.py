"""Which open job an upload fills, kept in a small file, so that the same command goes on where it broke off.

The file holds nothing but the job's id. What is there already, the service knows. The file is held with a lock while an
upload runs: a second one beside it makes a job of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Memory:
    """The job of one upload; without a file it forgets."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file

    def recall(self) -> str | None:
        """The id of the job that an earlier run filled, or None."""
        if self._file is None:
            return None
        self._file.seek(0)
        return self._file.read().strip() or None

    def keep(self, job_id: str) -> None:
        """This job is being filled."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.write(job_id)
            self._file.flush()

    def forget(self) -> None:
        """The upload is complete, or came to nothing."""
        if self._file is not None:
            Path(self._file.name).unlink(missing_ok=True)


@contextmanager
def memory_of(url: str, sources: Sequence[str], webhook: str | None = None) -> Iterator[Memory]:
    """The memory of sending these sources, from this folder, to this service, for a job with this webhook."""
    with contextlib.ExitStack() as stack:
        yield _held(stack, url, sources, webhook)


def _held(stack: contextlib.ExitStack, url: str, sources: Sequence[str], webhook: str | None) -> Memory:
    try:
        file = stack.enter_context(_place(url, sources, webhook).open("a+"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, RuntimeError):  # no home, or one that cannot be written to, or another run holds it
        return Memory()
    return Memory(file)


def _place(url: str, sources: Sequence[str], webhook: str | None) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(state, "darkroom", "uploads")
    folder.mkdir(parents=True, exist_ok=True)
    what = json.dumps([url, str(Path.cwd()), list(sources), webhook])
    return folder / hashlib.sha256(what.encode()).hexdigest()[:32]
