"""Follow a job to its end: results on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from cli.client import Client
from cli.terminal.exit_codes import ExitCode, echo_err, job_exit_code, resume_hint
from cli.terminal.output import Format, Json, write_document, write_records
from cli.terminal.progress import show_progress
from cli.terminal.tables import METRICS, items_table


def follow(client: Client, job: Json, output: Format, top_k: int | None, timeout_s: float | None) -> ExitCode:
    """Write the results of a job until it has ended, and return the exit code."""
    with resume_hint(job["id"]):
        if job["kind"] == "training":
            job = _follow_training(client, job["id"], output, timeout_s)
        else:
            job = _follow_classification(client, job["id"], output, top_k, timeout_s)
    if job["error"]:
        echo_err(f"The job failed: {job['error']['detail']}")
    elif job["counts"]["failed"]:
        echo_err(f"{job['counts']['failed']:,} of {job['counts']['total']:,} pictures failed.")
    return job_exit_code(job)


def _follow_classification(
    client: Client, job_id: str, output: Format, top_k: int | None, timeout_s: float | None
) -> Json:
    table = items_table(top_k or 1)
    live = output in ("ndjson", "csv")
    with show_progress(enabled=_can_show_progress(live)) as progress:
        if live:
            items = client.results(job_id, timeout_s=timeout_s, progress=progress.on_job)
            write_records(_with_top_k(items, top_k), table, output)
            return client.job(job_id)
        for job in client.watch(job_id, timeout_s=timeout_s):
            progress.on_job(job)
    items = _with_top_k(client.results(job_id), top_k)
    if output == "json":
        write_document({"job": job}, "results", items)
    else:
        write_records(items, table, output)
    return job


def _follow_training(client: Client, job_id: str, output: Format, timeout_s: float | None) -> Json:
    live = output != "json"
    with show_progress(enabled=_can_show_progress(live)) as progress:
        if live:
            rows = client.metrics(job_id, timeout_s=timeout_s, progress=progress.on_job)
            write_records(_epochs(rows) if output == "table" else rows, METRICS, output)
        for job in client.watch(job_id, timeout_s=timeout_s):
            progress.on_job(job)
    if output == "json":
        write_document({"job": job}, "metrics", client.metrics(job_id))
    elif output == "table" and job["model"]:
        click.echo(f"\n{_summary(client, job)}")
    return job


def _epochs(rows: Iterator[Json]) -> Iterator[Json]:
    """Return the rows at the ends of epochs, which have validation metrics."""
    return (row for row in rows if row["val_accuracy"] is not None)


def _can_show_progress(live: bool) -> bool:
    """Return False if results are written to the same terminal at the same time."""
    return not (live and sys.stdout.isatty())


def _with_top_k(items: Iterator[Json], top_k: int | None) -> Iterator[Json]:
    return ({**item, "predictions": item["predictions"][:top_k]} for item in items)


def _summary(client: Client, job: Json) -> str:
    accuracy = client.model(job["model"])["metrics"]["accuracy"]
    promotion = job["promotion"] or {}
    return f"{job['model']}: test accuracy {accuracy:.4f}. {promotion.get('reason', '')}".rstrip()
