"""`darkroom classify`."""

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
from typing import Any

import click

from cli import progress
from cli.client import Client, NotFound, NotSent, TimedOut
from cli.client.files import File, find, from_path
from cli.exits import Exit, leave, say
from cli.following import follow
from cli.options import output_option, timeout_option, top_k_option, webhook_option
from cli.output import Format, write_one
from cli.remembering import Memory, memory_of
from cli.service import connected
from cli.views import JOBS

#: Names of files that are listed where something is said of many.
NAMES = 5

Json = dict[str, Any]


@click.command("classify")
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(exists=True, allow_dash=True), metavar="FILE|DIR|ZIP|-..."
)
@click.option("--watch", is_flag=True, help="Wait for the results and write them; else the job's id is written.")
@top_k_option
@output_option
@timeout_option
@webhook_option
def command(
    sources: tuple[str, ...],
    *,
    watch: bool,
    top_k: int | None,
    form: Format,
    timeout_s: float | None,
    webhook: str | None,
) -> None:
    """Classify pictures, archives (.zip, .tar, .tar.gz), all of a folder, or what comes on stdin (-).

    Of a folder, hidden files are left out, and files that are no pictures are named and left out. An upload that breaks
    off goes on when the same command is run again in the same folder, within a day: what is there already is not sent
    twice. With --watch, csv and ndjson are written as pictures finish, table and json at the end.
    """
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    with connected(timeout_s) as client:
        upload = Upload(client, deadline, webhook)
        job = upload.run(sources)
        code = Exit.OK
        if watch:
            code = follow(client, job, form, top_k, None if timeout_s is None else max(0, deadline - time.monotonic()))
        elif form == "table":
            click.echo(job["id"])
        else:
            write_one(job, JOBS, form)
        leave(Exit.SOME_FAILED if upload.problems and code is Exit.OK else code)


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
            streams = [source for source in sources if is_stream(source)]
            memory = Memory() if streams else opened.enter_context(memory_of(self.client.url, sources))
            files = self._files(sources, opened)
            first = next(files, None)
            if first is None:
                self._say_skipped()
                raise NotSent("there is no picture to send")
            job_id, present = self._job(memory)
            try:
                self._send(job_id, chain([first], files), present)
            except BaseException:
                advice = "" if streams else " The same command goes on with it."
                say(f"\nJob {job_id} is not complete.{advice}")
                raise
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

    def _job(self, memory: Memory) -> tuple[str, set[str]]:
        """The open job to fill, and the keys that it has: that of a run that broke off, or a new one."""
        earlier = memory.recall()
        if earlier and self._is_open(earlier):
            present = set(self.client.keys(earlier))
            say(f"Going on with job {earlier}, which has {len(present):,} pictures.")
            return earlier, present
        job_id = str(self.client.open_job(webhook=self.webhook)["id"])
        memory.keep(job_id)
        return job_id, set()

    def _is_open(self, job_id: str) -> bool:
        try:
            return bool(self.client.job(job_id)["state"] == "open")
        except NotFound:
            return False

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
            leave(Exit.FAILED, "Error: no file could be sent")
        job = self.client.seal(job_id)
        memory.forget()
        return job

    def _say_skipped(self) -> None:
        if self.skipped:
            more = ", …" if self.skipped_count > NAMES else ""
            say(f"Left out, since no pictures: {self.skipped_count:,} ({', '.join(self.skipped)}{more})")


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
