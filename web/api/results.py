"""`/v1/jobs/{id}/results`: pages of finished items, and the whole as CSV or NDJSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from flask import Blueprint, Response, jsonify, request

from shared.entities import Item, Job
from shared.errors import Fault, InvalidRequest
from shared.jobs.results import Filter
from shared.times import timestamp
from web import wire
from web.api.jobs import blueprint as jobs_blueprint
from web.api.requests import Query, ResultsQuery, query, services
from web.openapi.operation import Answer, operation
from web.views import item_view, labels_of

blueprint: Blueprint = jobs_blueprint

#: Predictions in a line of CSV.
CSV_PREDICTIONS = 3
CSV_COLUMNS = (
    ["key", "filename", "state", "label", "index", "score"]
    + [f"{name}_{rank}" for rank in range(2, CSV_PREDICTIONS + 1) for name in ("label", "index", "score")]
    + ["width", "height", "bytes", "sha256", "model", "error_code", "error_detail", "finished_at", "corrected_label"]
)
#: First characters that make a spreadsheet take a cell for a formula, also in their East Asian width.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
#: Headers of a file with all results.
FILE_HEADERS = ["X-Job-Done", "Content-Disposition"]
#: Items that are written to the client in one piece.
WRITE_BATCH = 200


@blueprint.get("/<job_id>/results")
@operation({200: Answer(wire.ResultPage)}, query=ResultsQuery)
def results(job_id: str) -> Response:
    """One page of finished items, in the order in which they finished.

    The cursor stays valid while the job runs, so that who follows `next` sees each item once. Without more, and before
    the job is over, a page may be empty: wait for the status to change, and ask again with the same cursor.
    """
    asked = query(ResultsQuery, request)
    job = services().store.get(job_id)
    labels = labels_of(job, services().registry)
    wanted = Filter(
        asked.state,
        _label_index(asked.label, labels),
        asked.min_score,
        asked.max_score,
        None if asked.corrected is None else asked.corrected == "true",
        asked.filename,
    )
    read = services().results.least_sure if asked.sort == "score" else services().results.finished
    page = read(job_id, asked.limit, asked.after, wanted)
    data = [item_view(item, labels, job.model) for item in page.items]
    return jsonify({"data": data, "next": page.next, "done": page.done})


@blueprint.get("/<job_id>/results.csv")
@operation({200: Answer(media=["text/csv"], headers=FILE_HEADERS, about="A line for each item.")})
def results_csv(job_id: str) -> Response:
    """All finished items as CSV, one a line."""
    return _streamed(job_id, "csv", "text/csv; charset=utf-8", _csv_lines)


@blueprint.get("/<job_id>/results.ndjson")
@operation({200: Answer(media=["application/x-ndjson"], headers=FILE_HEADERS, about="An Item on each line.")})
def results_ndjson(job_id: str) -> Response:
    """All finished items as JSON, one a line."""
    return _streamed(job_id, "ndjson", "application/x-ndjson", _json_lines)


Writer = Callable[[Iterator[Item], tuple[str, ...], Job], Iterator[str]]


def _streamed(job_id: str, ending: str, content_type: str, write: Writer) -> Response:
    query(Query, request)
    parts = services()
    job = parts.store.get(job_id)
    lines = write(parts.results.stream(job_id), labels_of(job, parts.registry), job)
    first = next(lines, "")  # an error of the store is answered as one, not in the middle of the file
    response = Response(_in_pieces(chain([first], lines)), content_type=content_type)
    response.headers["X-Job-Done"] = "true" if job.state.done else "false"
    response.headers["Content-Disposition"] = f'attachment; filename="darkroom-{job_id[:8]}.{ending}"'
    return response


def _in_pieces(lines: Iterator[str]) -> Iterator[str]:
    while piece := "".join(islice(lines, WRITE_BATCH)):
        yield piece


def _json_lines(items: Iterator[Item], labels: tuple[str, ...], job: Job) -> Iterator[str]:
    for item in items:
        yield json.dumps(item_view(item, labels, job.model)) + "\n"


def _csv_lines(items: Iterator[Item], labels: tuple[str, ...], job: Job) -> Iterator[str]:
    yield _csv_line(CSV_COLUMNS)
    for item in items:
        yield _csv_line(_csv_row(item, labels, job))


def _csv_row(item: Item, labels: tuple[str, ...], job: Job) -> list[Any]:
    upload, outcome = item.upload, item.outcome
    predictions = outcome.predictions[:CSV_PREDICTIONS] if outcome else ()
    ranked = [value for p in predictions for value in (labels[p.index], p.index, p.score)]
    ranked += [""] * (3 * CSV_PREDICTIONS - len(ranked))
    failure = outcome.failure if outcome else None
    return [
        upload.key,
        upload.filename,
        item.state,
        *ranked,
        upload.width,
        upload.height,
        upload.size,
        upload.sha256,
        job.model if predictions else "",
        failure.code if failure else "",
        failure.detail if failure else "",
        timestamp(outcome.at if outcome else None),
        "" if item.correction is None else labels[item.correction],
    ]


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(value) for value in values])
    return line.getvalue()


def _harmless(value: Any) -> Any:
    """A name that a spreadsheet would run as a formula is quoted, as OWASP advises against CSV injection."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _label_index(label: str | None, labels: tuple[str, ...]) -> int | None:
    """A label's index, given by its name or the index itself. Raises InvalidRequest where there is no such label."""
    if label is None:
        return None
    if label in labels:
        return labels.index(label)
    if label.isdecimal() and int(label) < len(labels):
        return int(label)
    raise InvalidRequest(f"no label {label!r}", [Fault("label", f"one of: {', '.join(labels)}")])
