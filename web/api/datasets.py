"""Datasets: create, list, get, download and delete them."""

from __future__ import annotations

import contextlib
from functools import cache, partial

from flask import Blueprint, Response, current_app, jsonify, request

from shared.access.api_keys import Scope
from shared.datasets.entities import DatasetRecord, Picture
from shared.datasets.files import picture_key
from shared.datasets.imports import DELETED
from shared.datasets.names import dataset_name, label_name
from shared.domain.errors import NotFound, StorageFull, Unavailable
from web.api.paging import linked
from web.auth.access import ANY_KEY, allow
from web.downloads.attachment import attachment
from web.downloads.dataset_zip import dataset_zip
from web.openapi.operation import JSON, Answer, operation
from web.schemas.datasets import MAX_BODY_BYTES, Dataset, DatasetPage, NewDataset, dataset_json
from web.schemas.requests import Paged, json_body, query
from web.state import caller, services

blueprint = Blueprint("datasets", __name__, url_prefix="/v1/datasets")

#: Pictures up to which a request deletes the bytes itself. The reconciler deletes those of bigger datasets.
DELETED_AT_ONCE = 1000


@blueprint.post("")
@allow(Scope.TRAIN)
@operation(
    {201: Answer(Dataset, ["Location", "ETag"], about="Created.")},
    body={JSON: NewDataset},
    examples={JSON: {"name": "fruit", "labels": ["apple", "pear"]}},
)
def create() -> Response:
    """Create a dataset, without pictures.

    Labels can be given in the order that their indices should have; more are added by imports.
    """
    wanted = json_body(NewDataset, request, MAX_BODY_BYTES)
    labels = [label_name(text, f"/labels/{number}") for number, text in enumerate(wanted.labels)]
    dataset = services().datasets.create(caller().owner, dataset_name(wanted.name), labels)
    answer = dataset_response(services().datasets.get(dataset))
    answer.status_code = 201
    answer.headers["Location"] = f"/v1/datasets/{wanted.name}"
    return answer


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(DatasetPage, ["Link"])}, query=Paged)
def index() -> Response:
    """List the datasets of the key's owner by name."""
    asked = query(Paged, request)
    records, following = services().datasets.page(caller().owner, asked.limit, asked.after)
    return linked(jsonify({"data": [dataset_json(record) for record in records], "next": following}), following)


@blueprint.get("/<dataset>")
@allow(ANY_KEY)
@operation({200: Answer(Dataset, ["ETag"]), 304: Answer(headers=["ETag"])}, headers=["If-None-Match"])
def get(dataset: str) -> Response:
    """Get a dataset: its labels, and the number of pictures of each, at a cost that does not depend on its size."""
    answer = dataset_response(services().datasets.get(dataset_id(dataset)))
    answer.make_conditional(request)
    return answer


@blueprint.delete("/<dataset>")
@allow(Scope.TRAIN)
@operation({204: Answer(about="It is gone.")})
def delete(dataset: str) -> tuple[str, int]:
    """Delete a dataset with every stored byte. Its imports and trainings that still run fail.

    Model versions that were trained from it stay.
    """
    found = services().datasets.get(dataset_id(dataset))
    for job_id in services().datasets.remove(found.id):
        with contextlib.suppress(NotFound):
            services().store.fail(job_id, DELETED)
    if found.pictures <= DELETED_AT_ONCE:
        finish_deletion(found.id)
    return "", 204


@blueprint.get("/<dataset>/archive")
@allow(ANY_KEY)
@operation({200: Answer(media=["application/zip"], headers=["Content-Disposition"], about="A folder for each label.")})
def archive(dataset: str) -> Response:
    """Download all pictures as a zip with a folder for each label, and `labels.csv`.

    The table has the columns `id`, `file`, `label`, `split`, `group` and `pinned`. A cell that a spreadsheet would run
    as a formula is prefixed with `'`. An import of the zip into an empty dataset makes the same dataset.
    """
    found, parts = services().datasets.get(dataset_id(dataset)), services()

    block_id = cache(partial(parts.dataset_pictures.block_id, found.id))

    def read(picture: Picture) -> bytes:
        return parts.blobs.get(picture_key(found.id, block_id(picture.block), picture.sha256))

    pictures = parts.dataset_pictures.stream(found.id)
    return attachment(dataset_zip(pictures, read, found.updated_at), f"{dataset}.zip", "application/zip")


def dataset_id(name: str) -> str:
    """Return the id of the caller's dataset. Raise NotFound."""
    return services().datasets.find(caller().owner, name)


def dataset_response(record: DatasetRecord) -> Response:
    """Return a dataset with its ETag."""
    answer = jsonify(dataset_json(record))
    answer.headers["ETag"] = f'W/"{record.id[:8]}-{record.revision}"'
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


def finish_deletion(dataset: str) -> None:
    """Delete the bytes of what the request has deleted; the reconciler does it later if that fails."""
    try:
        services().dataset_sweep.finish(dataset)
    except (Unavailable, StorageFull):
        current_app.logger.warning("the bytes of dataset %s could not be deleted yet", dataset)
