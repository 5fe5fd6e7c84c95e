"""Imports into a Dataset: how the pictures of a request get their Labels, and a whole import from one request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Request

from shared.datasets.entities import DatasetRecord
from shared.domain.classifier import EVERYDAY
from shared.domain.entities import Job, JobKind, Upload
from shared.domain.errors import Conflict, Fault, InvalidRequest, ItemError, NotFound
from shared.services import Services
from web.schemas.requests import MAX_METADATA_BYTES, json_value
from web.uploads.intake import Intake, raise_failure, with_key
from web.uploads.item_writer import ItemWriter
from web.uploads.multipart import Part
from web.uploads.picture_labels import MAX_LABELS_BYTES, Labelling, valid_label
from web.uploads.pin import text_of, too_late
from web.uploads.request_files import MULTIPART, no_files, read_request
from web.uploads.submission import ADD_ITEMS, KEY_DIGITS, new_job
from web.uploads.webhook_param import refuse_in_query, webhook_in_part, webhook_in_query

#: Values of `layout`: whether the folder that holds a picture is its Label.
FOLDERS, FLAT = "folders", "flat"
#: Parts that change how the files after them are read.
OPTIONS = ("label", "layout")


def import_params(dataset: str, label: str | None, layout: str) -> dict[str, Any]:
    """Return the `params` of an import's Job: the Dataset's name, and how its pictures get their Labels."""
    return {"dataset": dataset, "label": label, "layout": layout}


def backbone(services: Services) -> str:
    """Return the version that makes the Embeddings of an import. Raise Conflict if this installation has none."""
    try:
        return services.registry.alias(EVERYDAY).version
    except NotFound as error:
        raise Conflict("this installation has no Backbone (`models/everyday-…`), which imports need") from error


def labelling_of(job: Job) -> Labelling | None:
    """Return how the pictures of an import get their Labels; None for a Job of another kind."""
    return labelling(job.params) if job.kind is JobKind.IMPORT else None


def labelling(params: Mapping[str, Any]) -> Labelling:
    """Return how pictures get their Labels. Raise InvalidRequest if a value is not allowed."""
    if params["layout"] not in (FOLDERS, FLAT):
        raise _wrong("layout", f"must be {FOLDERS} or {FLAT}")
    return Labelling(given_label(params["label"], "label"), params["layout"] == FOLDERS)


def given_label(label: str | None, pointer: str) -> str | None:
    """Return the name of a Label as it is stored; None if it is empty. Raise InvalidRequest."""
    try:
        return valid_label(label)
    except ItemError as error:
        raise _wrong(pointer, str(error)) from error


def submit_import(
    services: Services, owner: str, dataset: DatasetRecord, request: Request, given: Mapping[str, Any]
) -> str:
    """Make a sealed import of the files in a multipart or raw body, and return its Job's id.

    `given` has `label`, `layout` and `names` of the query. Raise InvalidRequest or ItemError if nothing of the request
    can be accepted; nothing is left behind then.
    """
    parts = read_request(request, {"metadata", "webhook", "labels", *OPTIONS}, services.settings.max_items)
    params = import_params(dataset.name, given["label"], given["layout"])
    chosen, webhook = labelling(params), None
    if request.mimetype == MULTIPART:
        refuse_in_query(request, "a part")
    else:
        webhook = webhook_in_query(request, services.resolver)
    services.blobs.check_free_space(request.content_length or 0)
    fields = {"dataset": dataset.id, "params": params, "model": backbone(services)}
    with new_job(services, JobKind.IMPORT, owner, webhook, **fields) as job_id:
        intake = Intake(services.blobs, services.settings, job_id, encoding=given["names"], labelling=chosen)
        files, labels = list[list[Upload]](), None
        for part in parts:
            if part.name == "metadata":
                metadata = json_value(part.text(MAX_METADATA_BYTES), "the part `metadata`")
                services.store.set_metadata(job_id, metadata)
            elif part.name == "webhook":
                services.store.set_webhook(job_id, webhook_in_part(part, services.resolver))
            elif part.name == "labels":
                labels = parse_labels(part)
            elif part.name in OPTIONS:
                if files:
                    raise too_late(part.name)
                params[part.name] = text_of(part)
                intake.labelling = labelling(params)
                services.store.set_params(job_id, params)
            else:
                files.append(list(intake.take(part.filename or "", part.chunks)))
        _add_all(services, dataset.id, job_id, intake, with_labels(files, labels, intake.labelling))
        services.store.seal(job_id)
    return job_id


def parse_labels(part: Part) -> list[str | None]:
    """Return the Labels in the part `labels`, one for each file. Raise InvalidRequest."""
    labels = json_value(part.text(MAX_LABELS_BYTES), "the part `labels`")
    if not isinstance(labels, list) or not all(label is None or isinstance(label, str) for label in labels):
        raise _wrong("/labels", "must be a JSON list with a label or null for each file")
    return [given_label(label, f"/labels/{number}") for number, label in enumerate(labels)]


def with_labels(
    files: Sequence[Sequence[Upload]], labels: Sequence[str | None] | None, chosen: Labelling | None
) -> Iterator[Upload]:
    """Yield the uploads of each file with the Label that the request has for the file, unless it has one for all.

    Raise InvalidRequest if there is not one for each file.
    """
    if labels is not None and len(labels) != len(files):
        raise _wrong("/labels", f"has {len(labels)} labels for {len(files)} files")
    for number, uploads in enumerate(files):
        label = labels[number] if labels is not None and not (chosen and chosen.label) else None
        for upload in uploads:
            yield upload if label is None else replace(upload, label=label)


def add_labels(services: Services, dataset: str, uploads: Sequence[Upload]) -> None:
    """Add the Labels of these pictures to the Dataset, so that their indices have the order of the pictures.

    If there is no room for all, or the Dataset was deleted, the pictures fail later, each by itself.
    """
    names = dict.fromkeys(upload.label for upload in uploads if upload.label and not upload.failure)
    with contextlib.suppress(Conflict, NotFound):
        services.dataset_labels.add(dataset, [name for name in names if name])


def _add_all(services: Services, dataset: str, job_id: str, intake: Intake, uploads: Iterator[Upload]) -> None:
    keyed = [with_key(upload, f"{number:0{KEY_DIGITS}}") for number, upload in enumerate(uploads, 1)]
    if not keyed:
        raise no_files(len(intake.skipped))
    if len(keyed) == 1:
        raise_failure(keyed[0])
    add_labels(services, dataset, keyed)
    writer = ItemWriter.of(services, job_id, intake)
    for start in range(0, len(keyed), ADD_ITEMS):
        services.store.check_memory()
        writer.add(keyed[start : start + ADD_ITEMS])
    writer.skip()


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer.lstrip('/')} {detail}", [Fault(pointer, detail)])
