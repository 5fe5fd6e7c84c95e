"""Follow a job to its end: results on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from cli.client import Client
from cli.jobs.outcomes import write_outcomes
from cli.terminal.exit_codes import ExitCode, echo_err, job_exit_code, resume_hint
from cli.terminal.output import Format, Json, write_document, write_records
from cli.terminal.progress import Progress, show_progress
from cli.terminal.tables import HEAD_METRICS, IMPORTED, METRICS, items_table


def follow(client: Client, job: Json, output: Format, top_k: int | None, timeout_s: float | None) -> ExitCode:
    """Write the results of a job until it has ended, and return the exit code."""
    with resume_hint(job["id"]):
        if job["kind"] == "training":
            ended = _follow_training(client, job, output, timeout_s)
        else:
            ended = _follow_items(client, job, output, top_k, timeout_s)
    return _exit_code(ended)


def follow_import(client: Client, job_id: str, timeout_s: float | None) -> ExitCode:
    """Wait until an import has ended, write what became of its pictures, and return the exit code."""
    with resume_hint(job_id):
        with show_progress() as progress:
            job = _watch(client, job_id, timeout_s, progress)
        write_outcomes(client.results(job_id))
    return _exit_code(job)


def _exit_code(job: Json) -> ExitCode:
    """Return the exit code for a job that has ended, and write to stderr what went wrong."""
    if job["error"]:
        echo_err(f"The job failed: {job['error']['detail']}")
    elif job["counts"]["failed"]:
        echo_err(f"{job['counts']['failed']:,} of {job['counts']['total']:,} pictures failed.")
    return job_exit_code(job)


def _watch(client: Client, job_id: str, timeout_s: float | None, progress: Progress) -> Json:
    """Show progress until the job has ended, and return it."""
    for job in client.watch(job_id, timeout_s=timeout_s):
        progress.on_job(job)
    return job


def _follow_items(client: Client, job: Json, output: Format, top_k: int | None, timeout_s: float | None) -> Json:
    job_id, live = job["id"], output in ("ndjson", "csv")
    table = IMPORTED if job["kind"] == "import" else items_table(top_k or 1)
    with show_progress(enabled=_can_show_progress(live)) as progress:
        if live:
            items = client.results(job_id, timeout_s=timeout_s, progress=progress.on_job)
            write_records(_with_top_k(items, top_k), table, output)
            return client.job(job_id)
        ended = _watch(client, job_id, timeout_s, progress)
    items = _with_top_k(client.results(job_id), top_k)
    if output == "json":
        write_document({"job": ended}, "results", items)
    else:
        write_records(items, table, output)
    return ended


def _follow_training(client: Client, job: Json, output: Format, timeout_s: float | None) -> Json:
    job_id, live = job["id"], output != "json"
    table = HEAD_METRICS if job["params"]["preset"] == "head" else METRICS
    if output == "table" and table is HEAD_METRICS:
        echo_err("Each line is a method that was tried. The result is the best one, or a blend of them.")
    with show_progress(enabled=_can_show_progress(live)) as progress:
        if live:
            rows = client.metrics(job_id, timeout_s=timeout_s, progress=progress.on_job)
            write_records(_judged(rows) if output == "table" else rows, table, output)
        ended = _watch(client, job_id, timeout_s, progress)
    if output == "json":
        write_document({"job": ended}, "metrics", client.metrics(job_id))
    elif output == "table" and ended["model"]:
        click.echo(f"\n{_summary(client, ended)}")
    return ended


def _judged(rows: Iterator[Json]) -> Iterator[Json]:
    """Return the rows with validation metrics: those at the ends of epochs, or one for each method of a head."""
    return (row for row in rows if row["val_accuracy"] is not None)


def _can_show_progress(live: bool) -> bool:
    """Return False if results are written to the same terminal at the same time."""
    return not (live and sys.stdout.isatty())


def _with_top_k(items: Iterator[Json], top_k: int | None) -> Iterator[Json]:
    return ({**item, "predictions": item["predictions"][:top_k]} for item in items)


def _summary(client: Client, job: Json) -> str:
    card, promotion = client.model(job["model"]), job["promotion"]
    metrics, rule = card["metrics"], job["params"]["promote"]
    accuracy = f"test accuracy {metrics['accuracy']:.4f}{_interval(metrics)}" if metrics else "no test pictures"
    decision = f" {'Promoted' if promotion['promoted'] else 'Not promoted'}: {promotion['reason']}" if promotion else ""
    kept = promotion and not promotion["promoted"] and rule == "if_better"
    advice = f"./darkroom classifiers promote {card['classifier']} {job['model']}"
    return f"{job['model']}: {accuracy}.{decision}" + (f"\nTo promote it all the same: {advice}" if kept else "")


def _interval(metrics: Json) -> str:
    interval = metrics.get("accuracy_interval")
    return f" (95 % interval: {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
