"""All results of a job as CSV, NDJSON, JSON or a zip of the pictures, streamed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from flask import Blueprint, Response, request
from typing_extensions import TypedDict

from shared.domain.csv_cells import escape_formula
from shared.domain.entities import Item, Job
from shared.domain.times import rfc3339_or_none
from web.auth.access import ANY_KEY, allow
from web.downloads.attachment import attachment
from web.downloads.zip_export import zip_by_label
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.schemas.requests import CsvQuery, query
from web.schemas.serializers import item_json, labels_of
from web.state import services

blueprint = Blueprint("exports", __name__, url_prefix="/v1/jobs")

#: Predictions in a CSV row.
CSV_PREDICTIONS = 3
CSV_COLUMNS = (
    ["key", "filename", "state", "label", "index", "score"]
    + [f"{name}_{rank}" for rank in range(2, CSV_PREDICTIONS + 1) for name in ("label", "index", "score")]
    + ["width", "height", "bytes", "sha256", "model", "error_code", "error_detail", "finished_at", "corrected_label"]
    + ["unknown", "novelty"]
)
#: Response headers of all exports.
FILE_HEADERS = ["X-Job-Done", "Content-Disposition"]
#: Byte order mark: without it, Excel does not read a file as UTF-8.
BOM = "\ufeff"
#: Lines sent at a time.
WRITE_BATCH = 200


class AllResults(TypedDict):
    """All finished items. `done` is false if the job is still running."""

    data: list[responses.Item]
    done: bool


Writer = Callable[[Iterator[Item], tuple[str, ...], Job], Iterator[str]]


@blueprint.get("/<job_id>/results.csv")
@allow(ANY_KEY)
@operation(
    {200: Answer(media=["text/csv"], headers=FILE_HEADERS, about="A CSV file with one row per item.")}, query=CsvQuery
)
def results_csv(job_id: str) -> Response:
    """Export all finished items as CSV in UTF-8.

    A cell that a spreadsheet would run as a formula is prefixed with `'`.
    """
    asked = query(CsvQuery, request)
    return _text(job_id, "csv", "text/csv; charset=utf-8", _csv_lines, start=BOM if asked.excel == "1" else "")


@blueprint.get("/<job_id>/results.ndjson")
@allow(ANY_KEY)
@operation({200: Answer(media=["application/x-ndjson"], headers=FILE_HEADERS, about="One Item per line.")})
def results_ndjson(job_id: str) -> Response:
    """Export all finished items as NDJSON."""
    return _text(job_id, "ndjson", "application/x-ndjson", _json_lines)


@blueprint.get("/<job_id>/results.json")
@allow(ANY_KEY)
@operation({200: Answer(AllResults, headers=FILE_HEADERS)})
def results_json(job_id: str) -> Response:
    """Export all finished items as one JSON document."""
    return _text(job_id, "json", "application/json", _json_document)


@blueprint.get("/<job_id>/results.zip")
@allow(ANY_KEY)
@operation({200: Answer(media=["application/zip"], headers=FILE_HEADERS, about="A zip with one folder per label.")})
def results_zip(job_id: str) -> Response:
    """Export the classified pictures as a zip with one folder per label.

    The label is the corrected one if there is one, else that of the best prediction. `left-out.txt` in the zip lists
    the items without a picture in it, and why. Unknown ones are in the folder `unknown`.
    """
    parts = services()
    job = parts.store.get(job_id)
    items = parts.results.stream(job_id)
    labels = labels_of(job, parts.registry)
    chunks = zip_by_label(items, labels, lambda stored_as: parts.picture(job_id, stored_as), job.created_at)
    return _download(job, "zip", "application/zip", chunks)


def _text(job_id: str, ending: str, content_type: str, write: Writer, start: str = "") -> Response:
    parts = services()
    job = parts.store.get(job_id)
    lines = chain([start], write(parts.results.stream(job_id), labels_of(job, parts.registry), job))
    return _download(job, ending, content_type, _in_chunks(lines))


def _download(job: Job, ending: str, content_type: str, chunks: Iterator[bytes]) -> Response:
    response = attachment(chunks, f"darkroom-{job.id[:8]}.{ending}", content_type)
    response.headers["X-Job-Done"] = "true" if job.state.done else "false"
    return response


def _in_chunks(lines: Iterator[str]) -> Iterator[bytes]:
    while batch := "".join(islice(lines, WRITE_BATCH)):
        yield batch.encode()


def _json_lines(items: Iterator[Item], labels: tuple[str, ...], job: Job) -> Iterator[str]:
    for item in items:
        yield json.dumps(item_json(item, labels, job)) + "\n"


def _json_document(items: Iterator[Item], labels: tuple[str, ...], job: Job) -> Iterator[str]:
    start = '{"data": ['
    for item in items:
        yield start + json.dumps(item_json(item, labels, job))
        start = ",\n"
    yield ("" if start == ",\n" else start) + f'], "done": {json.dumps(job.state.done)}}}\n'


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
        rfc3339_or_none(outcome.at if outcome else None),
        "" if item.correction is None else labels[item.correction],
        "true" if item.unknown else "false" if predictions else "",
        outcome.novelty if outcome else None,
    ]


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([escape_formula(value) for value in values])
    return line.getvalue()
