"""Labels of a dataset: add, rename, merge and delete them."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from shared.access.api_keys import Scope
from shared.datasets.names import label_name
from shared.domain.errors import Conflict
from web.api.datasets import dataset_id, finish_deletion
from web.auth.access import allow
from web.openapi.operation import JSON, Answer, operation
from web.schemas.datasets import DatasetLabel, LabelChange, LabelQuery, NewDatasetLabel, label_json, label_url
from web.schemas.requests import json_body, query
from web.state import services

blueprint = Blueprint("dataset_labels", __name__, url_prefix="/v1/datasets")


@blueprint.post("/<dataset>/labels")
@allow(Scope.TRAIN)
@operation(
    {201: Answer(DatasetLabel, ["Location"], about="Added, or it was there already.")},
    body={JSON: NewDatasetLabel},
    examples={JSON: {"name": "apple"}},
)
def add(dataset: str) -> Response:
    """Add a label. If it is there already, nothing changes."""
    found, name = dataset_id(dataset), label_name(json_body(NewDatasetLabel, request).name, "/name")
    services().dataset_labels.add(found, [name])
    answer = _label(found, name)
    answer.status_code = 201
    answer.headers["Location"] = label_url(dataset, name)
    return answer


@blueprint.put("/<dataset>/labels/<path:label>")
@allow(Scope.TRAIN)
@operation({200: Answer(DatasetLabel)}, body={JSON: LabelChange}, examples={JSON: {"name": "apple"}}, problems=[409])
def change(dataset: str, label: str) -> Response:
    """Rename a label, or merge it into another one with `merge`.

    A renamed label keeps its index. A merged label's index is never used again.
    """
    wanted, found = json_body(LabelChange, request), dataset_id(dataset)
    old, new, labels = label_name(label), label_name(wanted.name, "/name"), services().dataset_labels
    try:
        labels.rename(found, old, new)
    except Conflict:
        if not wanted.merge:
            raise
        labels.merge(found, old, new)
    return _label(found, new)


@blueprint.delete("/<dataset>/labels/<path:label>")
@allow(Scope.TRAIN)
@operation({204: Answer(about="It is gone.")}, query=LabelQuery)
def delete(dataset: str, label: str) -> tuple[str, int]:
    """Delete a label, and its pictures if asked to."""
    asked, found = query(LabelQuery, request), dataset_id(dataset)
    services().dataset_labels.delete(found, label_name(label), asked.pictures)
    finish_deletion(found)
    return "", 204


def _label(dataset: str, name: str) -> Response:
    """Return a label with its counts."""
    labels = {label.name: label for label in services().datasets.get(dataset).labels}
    return jsonify(label_json(labels[name]))
