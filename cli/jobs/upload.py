"""Upload the files of one command as one job; an interrupted upload is resumed."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

import click

from cli.client import Client, NotFound, NotSent, TimedOut
from cli.client.files import File, find, from_path
from cli.jobs.resume_state import ResumeState, resume_state
from cli.terminal.exit_codes import ExitCode, echo_err, exit_with
from cli.terminal.output import Json
from cli.terminal.progress import show_progress
from shared.datasets.labels_file import LABELS_FILE

#: Names that a message about many files lists.
LISTED_NAMES = 5


@dataclass(frozen=True)
class Target:
    """What an upload fills: the job that `open_job` opens."""

    open_job: Callable[[], Json]
    #: Tell this upload from others of the same sources.
    options: tuple[str | None, ...]
    #: Whether the folder that holds a picture is its label; see `find`.
    relative: bool = False


@dataclass
class Uploader:
    """Uploads files as one job. `problems` counts the files that could not be sent."""

    client: Client
    target: Target
    #: On the monotonic clock.
    deadline: float = float("inf")
    #: Encoding of names in archives that do not say it.
    names: str | None = None
    list_skipped: bool = False
    problems: int = field(default=0, init=False)
    skipped: list[str] = field(default_factory=list, init=False)
    skipped_count: int = field(default=0, init=False)

    def run(self, sources: Sequence[str]) -> Json:
        """Upload the sources and return the sealed Job. Raises NotSent if there is nothing to send."""
        with ExitStack() as opened:
            files = self._files(sources, opened)
            first = next(files, None)
            if first is None:
                self._report_skipped()
                raise NotSent("none of the files is a picture" if self.skipped_count else _no_files(sources))
            resumable = not any(is_stream(source) for source in sources)
            state = ResumeState()
            if resumable:
                state = opened.enter_context(resume_state(self.client.url, sources, *self.target.options))
            earlier = self._earlier_job(state)
            if earlier and self._is_complete(earlier, sources):
                echo_err(f"The upload of job {earlier['id']} is already complete.")
                state.clear()
                return earlier
            job_id, present = self._open_job(earlier, state)
            with incomplete_hint(job_id, resumable=resumable):
                self._send(job_id, chain([first], files), present)
                self._report_skipped()
                return self._seal(job_id, state)

    def _files(self, sources: Iterable[str], opened: ExitStack) -> Iterator[File]:
        for source in sources:
            if is_stream(source):
                yield from_path(opened.enter_context(temporary_copy(source)), name=source)
            else:
                yield from find([source], partial(self._skip, source), relative=self.target.relative)

    def _skip(self, source: str, name: str) -> None:
        if self.target.relative and Path(name) == Path(source, LABELS_FILE):
            return  # it was read
        self.skipped_count += 1
        if self.list_skipped:
            echo_err(f"Skipped: {name}")
        elif len(self.skipped) < LISTED_NAMES:
            self.skipped.append(name)

    def _earlier_job(self, state: ResumeState) -> Json | None:
        """Return the job of an interrupted run, if it still exists."""
        job_id = state.load()
        try:
            return self.client.job(job_id) if job_id else None
        except NotFound:
            return None

    def _is_complete(self, job: Json, sources: Sequence[str]) -> bool:
        """Return True if the interrupted run has sealed the job and there are no new files."""
        if job["state"] in ("open", "cancelling", "cancelled", "failed"):
            return False
        present = set(self.client.keys(job["id"]))
        files = find(sources, relative=self.target.relative)
        return all(file.archive or file.key in present for file in files)

    def _open_job(self, earlier: Json | None, state: ResumeState) -> tuple[str, set[str]]:
        """Return an open job, from an interrupted run or new, and the keys of its items."""
        if earlier and earlier["state"] == "open":
            present = set(self.client.keys(earlier["id"]))
            echo_err(f"Resuming the upload of job {earlier['id']}: {len(present):,} pictures are already there.")
            return str(earlier["id"]), present
        job_id = str(self.target.open_job()["id"])
        state.save(job_id)
        return job_id, set()

    def _send(self, job_id: str, files: Iterable[File], present: set[str]) -> None:
        items, size = len(present), 0
        with show_progress() as progress:
            for sent in self.client.send(job_id, files, present, names=self.names):
                items, size = items + sent.items, size + sent.bytes
                progress.on_sent(items, size)
                if sent.problem:
                    self.problems += 1
                    echo_err(f"{sent.name}: {sent.problem}")
                if time.monotonic() > self.deadline:
                    raise TimedOut("the upload did not finish in time")

    def _seal(self, job_id: str, state: ResumeState) -> Json:
        if not self.client.job(job_id)["counts"]["total"]:
            self.client.cancel(job_id)
            state.clear()
            exit_with(ExitCode.FAILED, "Error: no file could be sent")
        job = self.client.seal(job_id)
        state.clear()
        self._report_archives(job)
        return job

    def _report_archives(self, job: Json) -> None:
        """Print what the service has skipped in archives, and how it has read names in them."""
        if job["skipped"]:
            echo_err(f"Skipped in archives: {job['skipped']:,} (to list them: ./darkroom jobs skipped {job['id']})")
            if self.list_skipped:
                for file in self.client.skipped(job["id"]):
                    echo_err(f"Skipped: {file['archive']}: {file['filename']}")
        if job["guessed_encodings"]:
            encodings = ", ".join(job["guessed_encodings"])
            echo_err(f"Names in archives do not say their encoding; guessed: {encodings}. To choose: --names ENCODING")

    def _report_skipped(self) -> None:
        if self.skipped:
            one, more = self.skipped_count == 1, ", …" if self.skipped_count > LISTED_NAMES else ""
            what = "1 file skipped: not an image" if one else f"{self.skipped_count:,} files skipped: not images"
            echo_err(f"{what}, or damaged ({', '.join(self.skipped)}{more})")


@contextmanager
def incomplete_hint(job_id: str, *, resumable: bool) -> Iterator[None]:
    """Print that the job may be incomplete if the block fails. It is complete if only the reply to `seal` was lost."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        advice = " Run the same command again to resume the upload." if resumable else ""
        echo_err(f"\nJob {job_id} may be incomplete.{advice}")
        raise


@contextmanager
def temporary_copy(source: str) -> Iterator[str]:
    """Yield the path of a temporary file with the content of a stream."""
    with tempfile.NamedTemporaryFile() as copy, click.open_file(source, "rb") as stream:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        yield copy.name


def _no_files(sources: Sequence[str]) -> str:
    return f"there are no files in {', '.join(sources)} (hidden files are ignored)"


def is_stream(source: str) -> bool:
    """Return whether a source can be read only once: stdin or a pipe."""
    return source == "-" or stat.S_ISFIFO(Path(source).stat().st_mode)
