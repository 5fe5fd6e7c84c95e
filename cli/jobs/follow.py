"""Follow a job to its end: its results on stdout, its progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from cli.client import Client
from cli.terminal import progress
from cli.terminal.exits import Exit, a_job_goes_on, code_of_job, say
from cli.terminal.output import Format, Json, write_all, write_document
from cli.terminal.tables import ROWS, items_view


def follow(client: Client, job: Json, form: Format, top_k: int | None, timeout_s: float | None) -> Exit:
    """Write a job's results when, or as, they are there; the code for how it ended."""
    with a_job_goes_on(job["id"]):
        if job["kind"] == "training":
            job = _follow_training(client, job["id"], form, timeout_s)
        else:
            job = _follow_classification(client, job["id"], form, top_k, timeout_s)
    if job["error"]:
        say(f"The job failed: {job['error']['detail']}")
    elif job["counts"]["failed"]:
        say(f"{job['counts']['failed']:,} of {job['counts']['total']:,} pictures failed.")
    return code_of_job(job)


def _follow_classification(
    client: Client, job_id: str, form: Format, top_k: int | None, timeout_s: float | None
) -> Json:
    view = items_view(top_k or 1)
    live = form in ("ndjson", "csv")
    with progress.shown(wanted=_beside_results(live)) as bar:
        if live:
            items = client.results(job_id, timeout_s=timeout_s, progress=bar.watching)
            write_all(_cut(items, top_k), view, form)
            return client.job(job_id)
        for job in client.watch(job_id, timeout_s=timeout_s):
            bar.watching(job)
    items = _cut(client.results(job_id), top_k)
    if form == "json":
        write_document({"job": job}, "results", items)
    else:
        write_all(items, view, form)
    return job


def _follow_training(client: Client, job_id: str, form: Format, timeout_s: float | None) -> Json:
    live = form != "json"
    with progress.shown(wanted=_beside_results(live)) as bar:
        if live:
            rows = client.metrics(job_id, timeout_s=timeout_s, progress=bar.watching)
            write_all(_epochs(rows) if form == "table" else rows, ROWS, form)
        for job in client.watch(job_id, timeout_s=timeout_s):
            bar.watching(job)
    if form == "json":
        write_document({"job": job}, "metrics", client.metrics(job_id))
    elif form == "table" and job["model"]:
        click.echo(f"\n{_outcome(client, job)}")
    return job


def _epochs(rows: Iterator[Json]) -> Iterator[Json]:
    """The rows at the ends of epochs, where the model was measured."""
    return (row for row in rows if row["val_accuracy"] is not None)


def _beside_results(live: bool) -> bool:
    """Whether a bar can be shown: not on the terminal where results are written meanwhile."""
    return not (live and sys.stdout.isatty())


def _cut(items: Iterator[Json], top_k: int | None) -> Iterator[Json]:
    return ({**item, "predictions": item["predictions"][:top_k]} for item in items)


def _outcome(client: Client, job: Json) -> str:
    accuracy = client.model(job["model"])["metrics"]["accuracy"]
    promotion = job["promotion"] or {}
    return f"{job['model']}: test accuracy {accuracy:.4f}. {promotion.get('reason', '')}".rstrip()
