"""State for resuming an interrupted upload: a small file with the id of the open job.

Nothing else is stored: the service knows which files it has. The file is locked during an upload, so that a second run
at the same time makes a job of its own.
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


class ResumeState:
    """The job id of one upload. Without a file nothing is stored."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file

    def load(self) -> str | None:
        """Return the job id that an earlier run saved, or None."""
        if self._file is None:
            return None
        self._file.seek(0)
        return self._file.read().strip() or None

    def save(self, job_id: str) -> None:
        """Save the id of the job that is being filled."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.write(job_id)
            self._file.flush()

    def clear(self) -> None:
        """Delete the file: the upload is complete or given up."""
        if self._file is not None:
            Path(self._file.name).unlink(missing_ok=True)


@contextmanager
def resume_state(url: str, sources: Sequence[str], *options: str | None) -> Iterator[ResumeState]:
    """Yield the state for this service, current folder, list of sources, and options such as the webhook."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_path(url, sources, options).open("a+"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (OSError, RuntimeError):  # no home folder, or not writable, or another run holds the lock
            yield ResumeState()
            return
        yield ResumeState(file)


def _path(url: str, sources: Sequence[str], options: Sequence[str | None]) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(state, "darkroom", "uploads")
    folder.mkdir(parents=True, exist_ok=True)
    what = json.dumps([url, str(Path.cwd()), list(sources), *options])
    return folder / hashlib.sha256(what.encode()).hexdigest()[:32]
