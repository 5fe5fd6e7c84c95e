"""`darkroom jobs`."""

from __future__ import annotations

from itertools import islice

import click

from cli.jobs.follow import follow
from cli.options import output_option, timeout_option, top_k_option
from cli.service import connected
from cli.terminal.exits import leave
from cli.terminal.output import Format, write_all, write_one
from cli.terminal.tables import JOB, JOBS

STATES = ("open", "queued", "running", "cancelling", "succeeded", "failed", "cancelled")


@click.group("jobs")
def command() -> None:
    """List jobs, look at one, follow, cancel, retry and delete it."""


@command.command("list")
@click.option("--kind", type=click.Choice(["classification", "training"]), help="Only jobs of this kind.")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Jobs at most.")
@output_option
def list_(*, kind: str | None, state: str | None, limit: int, form: Format) -> None:
    """List the jobs, newest first."""
    with connected() as client:
        write_all(islice(client.jobs(kind=kind, state=state), limit), JOBS, form)


@command.command()
@click.argument("job_id", metavar="ID")
@output_option
def show(job_id: str, *, form: Format) -> None:
    """Show a job as it is now."""
    with connected() as client:
        write_one(client.job(job_id), JOB, form)


@command.command()
@click.argument("job_id", metavar="ID")
@top_k_option
@output_option
@timeout_option
def watch(job_id: str, *, top_k: int | None, form: Format, timeout_s: float | None) -> None:
    """Follow a job to its end, and write its results. Ctrl-C ends that, and not the job."""
    with connected(timeout_s) as client:
        leave(follow(client, client.job(job_id), form, top_k, timeout_s))


@command.command()
@click.argument("job_id", metavar="ID")
@output_option
def cancel(job_id: str, *, form: Format) -> None:
    """Stop a job after what is in hand; what is finished stays."""
    with connected() as client:
        write_one(client.cancel(job_id), JOB, form)


@command.command()
@click.argument("job_id", metavar="ID")
@click.option("--watch", "wanted", is_flag=True, help="Follow the job to its end.")
@output_option
@timeout_option
def retry(job_id: str, *, wanted: bool, form: Format, timeout_s: float | None) -> None:
    """Do the failed and cancelled pictures of a job again, or go on with a training."""
    with connected(timeout_s) as client:
        job = client.retry(job_id)
        if wanted:
            leave(follow(client, job, form, None, timeout_s))
        write_one(job, JOB, form)


@command.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
def delete(job_ids: tuple[str, ...]) -> None:
    """Remove jobs that are over, with their results and their pictures."""
    with connected() as client:
        for job_id in job_ids:
            client.delete(job_id)
