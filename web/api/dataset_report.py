"""The report on a dataset: what is wrong or thin."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from shared.datasets.entities import DatasetRecord
from shared.datasets.report import read_report
from shared.domain.entities import Queue
from web.api.datasets import dataset_id
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.schemas.dataset_report import Computed, DatasetReport, mentioned, report_json
from web.state import services

blueprint = Blueprint("dataset_report", __name__, url_prefix="/v1/datasets")


@blueprint.get("/<dataset>/report")
@allow(ANY_KEY)
@operation({200: Answer(DatasetReport)})
def get(dataset: str) -> Response:
    """Get what is wrong or thin in a dataset.

    `computed` is the work of a worker. If there is none of the present revision, the call starts one, and `computing`
    is true: ask again. Pictures that were deleted since, and doubts about labels that were changed or confirmed since,
    are left out of the lists.
    """
    record = services().datasets.get(dataset_id(dataset))
    computed = _computed(record)
    is_fresh = computed is not None and computed.findings.revision == record.revision
    if not is_fresh and services().reports.ask(record.id):
        services().messenger.wake_for_items(Queue.TRAIN, 1)
    return jsonify(report_json(record, computed))


def _computed(record: DatasetRecord) -> Computed | None:
    """Return what a worker has computed with the pictures in it as they are now, or None."""
    report = read_report(services().blobs, record.id)
    if report is None:
        return None
    store, numbers = services().dataset_pictures, mentioned(report[0])
    names = {label.index: label.name for label in record.labels}
    return Computed(*report, store.many(record.id, numbers), store.rejections(record.id, numbers), names)
