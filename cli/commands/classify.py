"""`darkroom classify`."""

from __future__ import annotations

import time
from functools import partial

import click

from cli.jobs.follow import follow
from cli.jobs.upload import Target, Uploader
from cli.options import (
    list_skipped_option,
    names_option,
    output_option,
    sources_argument,
    timeout_option,
    top_k_option,
    webhook_option,
)
from cli.service import connect
from cli.terminal.exit_codes import ExitCode, exit_with
from cli.terminal.output import Format, write_record
from cli.terminal.tables import JOBS


@click.command("classify")
@sources_argument
@click.option("--watch", is_flag=True, help="Wait for the results and print them. Default: print the job's id.")
@top_k_option
@output_option
@timeout_option
@webhook_option
@click.option("--classifier", metavar="NAME", help="Classifier; see `./darkroom classifiers list`. Default: cifar10.")
@names_option
@list_skipped_option
def command(
    sources: tuple[str, ...],
    *,
    watch: bool,
    top_k: int | None,
    output: Format,
    timeout_s: float | None,
    webhook: str | None,
    classifier: str | None,
    names: str | None,
    list_skipped: bool,
) -> None:
    """Classify pictures, archives (.zip, .tar, .tar.gz and the like), whole folders, or stdin (-).

    Folders: hidden files are ignored. Files that are not images, or that systems and photo programs add, are skipped.
    To resume an interrupted upload, run the same command again in the same folder within a day; nothing is sent twice.
    With --watch, csv and ndjson are written as pictures finish, table and json at the end.
    """
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    with connect(timeout_s) as client:
        target = Target(partial(client.open_job, webhook=webhook, classifier=classifier), (webhook, classifier))
        uploader = Uploader(client, target, deadline, names, list_skipped)
        job = uploader.run(sources)
        code = ExitCode.OK
        if watch:
            remaining_s = None if timeout_s is None else max(0, deadline - time.monotonic())
            code = follow(client, job, output, top_k, remaining_s)
        elif output == "table":
            click.echo(job["id"])
        else:
            write_record(job, JOBS, output)
        exit_with(ExitCode.SOME_FAILED if uploader.problems and code is ExitCode.OK else code)
