"""`darkroom classify`."""

from __future__ import annotations

import time

import click

from cli.jobs.follow import follow
from cli.jobs.upload import Upload
from cli.options import output_option, timeout_option, top_k_option, webhook_option
from cli.service import connected
from cli.terminal.exits import Exit, leave
from cli.terminal.output import Format, write_one
from cli.terminal.tables import JOBS


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
