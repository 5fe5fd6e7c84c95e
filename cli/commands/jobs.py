"""`darkroom jobs`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from cli.jobs.follow import follow
from cli.options import output_option, timeout_option, top_k_option
from cli.service import connect
from cli.terminal.exit_codes import exit_with
from cli.terminal.output import Format, write_record, write_records
from cli.terminal.tables import JOB, JOBS, SKIPPED

STATES = ("open", "queued", "running", "cancelling", "succeeded", "failed", "cancelled")


@click.group("jobs")
def command() -> None:
    """List, show, watch, cancel, retry and delete jobs."""


@command.command("list")
@click.option("--kind", type=click.Choice(["classification", "import", "training"]), help="Only jobs of this kind.")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of jobs.")
@output_option
def list_(*, kind: str | None, state: str | None, limit: int, output: Format) -> None:
    """List jobs, newest first."""
    with connect() as client:
        write_records(islice(client.jobs(kind=kind, state=state), limit), JOBS, output)


@command.command()
@click.argument("job_id", metavar="ID")
@output_option
def show(job_id: str, *, output: Format) -> None:
    """Show the current state of a job."""
    with connect() as client:
        write_record(client.job(job_id), JOB, output)


@command.command()
@click.argument("job_id", metavar="ID")
@top_k_option
@output_option
@timeout_option
def watch(job_id: str, *, top_k: int | None, output: Format, timeout_s: float | None) -> None:
    """Follow a job to its end and print its results. Ctrl-C stops watching, not the job."""
    with connect(timeout_s) as client:
        exit_with(follow(client, client.job(job_id), output, top_k, timeout_s))


@command.command(short_help="List the files in archives that were skipped.")
@click.argument("job_id", metavar="ID")
@output_option
def skipped(job_id: str, *, output: Format) -> None:
    """List the files in archives that were skipped: systems and photo programs add them."""
    with connect() as client:
        write_records(client.skipped(job_id), SKIPPED, output)


@command.command(short_help="Save where the model looked in a picture, as a PNG.")
@click.argument("job_id", metavar="ID")
@click.argument("key", metavar="KEY")
@click.argument("target", metavar="[PNG]", type=click.Path(dir_okay=False, path_type=Path), default="heatmap.png")
@click.option("--label", metavar="L", help="Name or index of the label. Default: the one with the best score.")
def heatmap(job_id: str, key: str, target: Path, *, label: str | None) -> None:
    """Save where the model looked in a picture of a job for a label, as a PNG to lay over it.

    KEY is that of the picture in the job's results, as `-o ndjson` lists them.
    """
    with connect() as client:
        target.write_bytes(client.heatmap(job_id, key, label=label))


@command.command()
@click.argument("job_id", metavar="ID")
@output_option
def cancel(job_id: str, *, output: Format) -> None:
    """Cancel a job. Finished results are kept."""
    with connect() as client:
        write_record(client.cancel(job_id), JOB, output)


@command.command(short_help="Retry what failed or was cancelled, or resume a training.")
@click.argument("job_id", metavar="ID")
@click.option("--watch", "wait", is_flag=True, help="Follow the job to its end.")
@output_option
@timeout_option
def retry(job_id: str, *, wait: bool, output: Format, timeout_s: float | None) -> None:
    """Retry the failed and cancelled pictures of a job, or resume a training."""
    with connect(timeout_s) as client:
        job = client.retry(job_id)
        if wait:
            exit_with(follow(client, job, output, None, timeout_s))
        write_record(job, JOB, output)


@command.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
def delete(job_ids: tuple[str, ...]) -> None:
    """Delete finished jobs with their results and pictures."""
    with connect() as client:
        for job_id in job_ids:
            client.delete(job_id)
