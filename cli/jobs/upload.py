"""Send the files of one command as one job, also where an earlier run of it broke off."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import click

from cli.client import Client, NotFound, NotSent, TimedOut
from cli.client.files import File, find, from_path
from cli.jobs.resume_state import Memory, memory_of
from cli.terminal import progress
from cli.terminal.exits import Exit, leave, say
from cli.terminal.output import Json

#: Names of files that are listed where something is said of many.
NAMES = 5


@dataclass
class Upload:
    """Sends the files of one command as one job. `problems` counts those that could not be sent."""

    client: Client
    #: On the monotonic clock.
    deadline: float
    webhook: str | None = None
    problems: int = field(default=0, init=False)
    skipped: list[str] = field(default_factory=list, init=False)
    skipped_count: int = field(default=0, init=False)

    def run(self, sources: Sequence[str]) -> Json:
        """The sealed Job. Raises NotSent where there is nothing to send."""
        with ExitStack() as opened:
            files = self._files(sources, opened)
            first = next(files, None)
            if first is None:
                self._say_skipped()
                raise NotSent("there is no picture to send")
            lost = any(is_stream(source) for source in sources)  # what came on stdin cannot be sent again
            memory = Memory() if lost else opened.enter_context(memory_of(self.client.url, sources, self.webhook))
            earlier = self._earlier(memory)
            if earlier and self._is_whole(earlier, sources):
                say(f"Going on with job {earlier['id']}, which is complete.")
                memory.forget()
                return earlier
            job_id, present = self._job(earlier, memory)
            with not_complete(job_id, "" if lost else " The same command goes on with it."):
                self._send(job_id, chain([first], files), present)
                self._say_skipped()
                return self._sealed(job_id, memory)

    def _files(self, sources: Iterable[str], opened: ExitStack) -> Iterator[File]:
        for source in sources:
            if is_stream(source):
                yield from_path(opened.enter_context(copied(source)), name=source)
            else:
                yield from find([source], self._skip)

    def _skip(self, name: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < NAMES:
            self.skipped.append(name)

    def _earlier(self, memory: Memory) -> Json | None:
        """The job of a run that broke off, where it is still there."""
        job_id = memory.recall()
        try:
            return self.client.job(job_id) if job_id else None
        except NotFound:
            return None

    def _is_whole(self, job: Json, sources: Sequence[str]) -> bool:
        """Whether nothing is to be sent any more: the run broke off while it sealed the job, and no picture is new."""
        if job["state"] in ("open", "cancelling", "cancelled"):
            return False
        present = set(self.client.keys(job["id"]))
        return all(file.archive or file.key in present for file in find(sources))

    def _job(self, earlier: Json | None, memory: Memory) -> tuple[str, set[str]]:
        """The open job to fill, and the keys that it has: that of a run that broke off, or a new one."""
        if earlier and earlier["state"] == "open":
            present = set(self.client.keys(earlier["id"]))
            say(f"Going on with job {earlier['id']}, which has {len(present):,} pictures.")
            return str(earlier["id"]), present
        job_id = str(self.client.open_job(webhook=self.webhook)["id"])
        memory.keep(job_id)
        return job_id, set()

    def _send(self, job_id: str, files: Iterable[File], present: set[str]) -> None:
        items, size = len(present), 0
        with progress.shown() as bar:
            for sent in self.client.send(job_id, files, present):
                items, size = items + sent.items, size + sent.bytes
                bar.sending(items, size)
                if sent.problem:
                    self.problems += 1
                    say(f"{sent.name}: {sent.problem}")
                if time.monotonic() > self.deadline:
                    raise TimedOut("not everything was sent in time")

    def _sealed(self, job_id: str, memory: Memory) -> Json:
        if not self.client.job(job_id)["counts"]["total"]:
            self.client.cancel(job_id)
            memory.forget()
            leave(Exit.FAILED, "Error: no file could be sent")
        job = self.client.seal(job_id)
        memory.forget()
        return job

    def _say_skipped(self) -> None:
        if self.skipped:
            more = ", …" if self.skipped_count > NAMES else ""
            say(f"Left out, since no pictures: {self.skipped_count:,} ({', '.join(self.skipped)}{more})")


@contextmanager
def not_complete(job_id: str, advice: str) -> Iterator[None]:
    """Where sending ends before its end, say so. Whether a job is sealed whose seal was not answered, nobody knows."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        say(f"\nJob {job_id} may not be complete.{advice}")
        raise


@contextmanager
def copied(source: str) -> Iterator[str]:
    """What comes from a stream, in a temporary file."""
    with tempfile.NamedTemporaryFile() as copy, click.open_file(source, "rb") as stream:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        yield copy.name


def is_stream(source: str) -> bool:
    """Whether a source can be read once only: stdin, a pipe."""
    return source == "-" or stat.S_ISFIFO(Path(source).stat().st_mode)
