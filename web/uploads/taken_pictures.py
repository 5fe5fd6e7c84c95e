"""Take classified pictures of a Job into a Dataset: an import whose bytes are copied from that Job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from shared.datasets.entities import DatasetRecord
from shared.datasets.names import label_name
from shared.domain.entities import Item, ItemState, Job, JobKind, Upload, blob_key
from shared.domain.errors import Fault, InvalidRequest, NotFound
from shared.jobs.results import Filter
from shared.services import Services
from web.uploads.imports import FLAT, backbone, import_params
from web.uploads.item_writer import ItemWriter
from web.uploads.submission import ADD_ITEMS, new_job

#: Pictures that one request takes at most: each is copied before the answer.
MAX_TAKEN = 10_000


def chosen_items(services: Services, job: Job, keys: Sequence[str]) -> list[Item]:
    """Return the Items with these keys. Raise InvalidRequest if one is unknown or was not classified."""
    items = []
    for number, key in enumerate(dict.fromkeys(keys)):
        try:
            item = services.store.item(job.id, key)
        except NotFound as error:
            raise _wrong(f"/items/{number}", str(error)) from error
        if item.label is None:
            raise _wrong(f"/items/{number}", f"item {key!r} is {item.state}: only classified items can be taken")
        items.append(item)
    return items


def matching_items(services: Services, job: Job, label: int | None) -> list[Item]:
    """Return the Items with this Label, by index, or with None those that a person has corrected.

    Raise InvalidRequest if there are none, or more than MAX_TAKEN.
    """
    wanted = Filter(state=ItemState.SUCCEEDED, label=label, corrected=None if label is not None else True)
    matching = (item for item in services.results.stream(job.id) if wanted.matches(item))
    items = list(islice(matching, MAX_TAKEN + 1))
    if not items:
        raise _wrong("/job", f"job {job.id} has no such items")
    if len(items) > MAX_TAKEN:
        raise _wrong("/job", f"job {job.id} has more than {MAX_TAKEN:,} such items: take some of them by key")
    return items


def take(
    services: Services, dataset: DatasetRecord, job: Job, items: Sequence[Item], *, labels: Sequence[str], owner: str
) -> str:
    """Import Items of a Job into a Dataset, and return the id of the import.

    `labels` has the names of the Job's Labels, by index, or is empty to leave the pictures without a Label. Raise
    InvalidRequest if the bytes of an Item are deleted, or its Label is not allowed in a Dataset; Conflict without a
    Backbone.
    """
    params = import_params(dataset.name, None, FLAT) | {"job": job.id}
    uploads = [_upload(item, labels) for item in items]
    fields = {"dataset": dataset.id, "params": params, "model": backbone(services)}
    with new_job(services, JobKind.IMPORT, owner, None, **fields) as import_id:
        services.datasets.add_job(dataset.id, import_id)
        writer = ItemWriter.of(services, import_id)
        for start in range(0, len(uploads), ADD_ITEMS):
            _copy(services, job.id, import_id, [item.upload for item in items[start : start + ADD_ITEMS]])
            writer.add(uploads[start : start + ADD_ITEMS])
        services.store.seal(import_id)
    return import_id


def _upload(item: Item, labels: Sequence[str]) -> Upload:
    name = labels[item.label] if labels and item.label is not None else None
    return replace(item.upload, label=None if name is None else label_name(name, "/job"), pack=None)


def _copy(services: Services, source: str, target: str, uploads: Sequence[Upload]) -> None:
    """Copy pictures to blobs of their own: an import deletes each when the Dataset has it."""
    for upload in uploads:
        try:
            services.blobs.copy(blob_key(source, upload.stored_as), blob_key(target, upload.sha256))
        except NotFound as error:
            raise _wrong("/job", f"the bytes of item {upload.key!r} are deleted") from error


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, [Fault(pointer, detail)])
