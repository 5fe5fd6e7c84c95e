"""Add Items to an open Job: many in a multipart body, or one under the client's own key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flask import Request

from shared.domain.entities import Failure, ItemState, Upload, valid_key
from shared.domain.errors import Conflict, Fault, InvalidRequest, NotFound, UnsupportedMedia
from shared.jobs.store import AddResult, JobStore
from shared.services import Services
from web.middleware.idempotency import given_key
from web.schemas.requests import MAX_KEYS_BYTES, json_value
from web.uploads.imports import add_labels, given_label, labelling_of, parse_labels, with_labels
from web.uploads.intake import Intake, raise_failure, too_large, with_key
from web.uploads.item_writer import ItemWriter
from web.uploads.picture_labels import Labelling
from web.uploads.request_files import MULTIPART, no_files, read_body, read_request
from web.uploads.submission import KEY_DIGITS


@dataclass(frozen=True)
class AddedItem:
    """How one file of a request was taken: its Item's state, or `rejected`."""

    key: str
    state: str
    failure: Failure | None


def add_items(services: Services, job_id: str, request: Request, encoding: str | None) -> list[AddedItem]:
    """Add the files of a multipart body to an open Job; a repeat with the same keys changes nothing.

    `encoding` is that of names in archives that are not UTF-8.

    Raise UnsupportedMedia, InvalidRequest, NotFound, Conflict if the Job is sealed, Unavailable.
    """
    if request.mimetype != MULTIPART:
        raise UnsupportedMedia("send items as multipart/form-data, or one by one with PUT")
    job = services.store.get(job_id)
    if job.sealed:
        raise _sealed(job_id)
    _check_room(services, request)
    limits, labelling = services.settings, labelling_of(job)
    intake, files = Intake(services.blobs, limits, job_id, encoding=encoding, labelling=labelling), list[list[Upload]]()
    keys: list[str] | None = None
    labels: list[str | None] | None = None
    for part in read_request(request, {"keys", "labels"} if labelling else {"keys"}, limits.max_items):
        if part.name == "keys":
            keys = _parse_keys(part.text(MAX_KEYS_BYTES))
        elif part.name == "labels":
            labels = parse_labels(part)
        else:
            files.append(list(intake.take(part.filename or "", part.chunks)))
    uploads = list(with_labels(files, labels, labelling))
    if not uploads:
        raise no_files(len(intake.skipped))
    uploads = _with_keys(uploads, _made_keys(services.store, job_id, len(uploads)) if keys is None else keys)
    writer = ItemWriter.of(services, job_id, intake)
    writer.skip()
    if job.dataset is not None:
        add_labels(services, job.dataset, uploads)
    results = writer.add(uploads)
    return [
        _added_item(services.store, job_id, upload, result, limits.max_items)
        for upload, result in zip(uploads, results, strict=True)
    ]


def put_item(services: Services, job_id: str, key: str, request: Request, label: str | None = None) -> AddResult:
    """Add one picture under the client's key, to an import with this Label; return how it was taken.

    Raise ItemError if it cannot be accepted: nothing is recorded then. Raise InvalidRequest, NotFound, Unavailable,
    and Conflict if the Job is sealed and has no Item under the key.
    """
    if not valid_key(key):
        raise InvalidRequest("a key is 1 to 128 of A-Za-z0-9._- and not `.` or `..`", [Fault("key", "not a key")])
    job = services.store.get(job_id)
    labelling = labelling_of(job)
    if label is not None:
        if labelling is None:
            raise InvalidRequest("label is only for imports", [Fault("label", "this job is not an import")])
        labelling = Labelling(given_label(label, "label"))
    if job.sealed:
        return _compare(services.store, job_id, key, request)
    _check_room(services, request)
    limits = services.settings
    length = request.content_length or 0
    if length > limits.max_file_bytes:
        raise too_large(limits.max_file_bytes)
    intake = Intake(services.blobs, limits, job_id, archives=False, labelling=labelling)
    (upload,) = intake.take(key, read_body(request.stream))
    raise_failure(upload)
    return ItemWriter.of(services, job_id, intake).add([with_key(upload, key)])[0]


def _check_room(services: Services, request: Request) -> None:
    """Raise Unavailable or StorageFull before the body is read if Redis or the disk has no room for it."""
    services.store.check_memory()
    services.blobs.check_free_space(request.content_length or 0)


def _sealed(job_id: str) -> Conflict:
    return Conflict(f"job {job_id} is sealed: it accepts no more items")


def _compare(store: JobStore, job_id: str, key: str, request: Request) -> AddResult:
    """Compare a body with the Item of a sealed Job: the answer to an earlier request may have been lost.

    Raise Conflict if there is no such Item.
    """
    try:
        upload = store.item(job_id, key).upload
    except NotFound:
        raise _sealed(job_id) from None
    digest, size = hashlib.sha256(), 0
    for data in read_body(request.stream):
        digest.update(data)
        size += len(data)
        if size > upload.size:
            break
    return AddResult.SAME if digest.hexdigest() == upload.sha256 else AddResult.DIFFERS


def _parse_keys(content: bytes) -> list[str]:
    keys = json_value(content, "the part `keys`")
    if not isinstance(keys, list) or not all(isinstance(key, str) and valid_key(key) for key in keys):
        detail = "must be a JSON list of keys: 1 to 128 of A-Za-z0-9._- each"
        raise InvalidRequest(f"the part `keys` {detail}", [Fault("/keys", detail)])
    if len(set(keys)) < len(keys):
        raise InvalidRequest("the part `keys` names a key twice", [Fault("/keys", "a key appears twice")])
    return keys


def _with_keys(uploads: list[Upload], keys: list[str]) -> list[Upload]:
    if len(keys) != len(uploads):
        detail = f"{len(keys)} keys for {len(uploads)} files; an archive's files cannot have keys"
        raise InvalidRequest(f"the part `keys` does not fit: {detail}", [Fault("/keys", detail)])
    return [with_key(upload, key) for upload, key in zip(uploads, keys, strict=True)]


def _made_keys(store: JobStore, job_id: str, count: int) -> list[str]:
    """Return keys for files that came without; the same ones if a request is repeated under its `Idempotency-Key`.

    So a repeat adds nothing twice, even if the first answer was an error after a part of the files, or has expired.
    """
    if (request_key := given_key()) is not None:
        start = hashlib.sha256(request_key.encode()).hexdigest()[:16]
        return [f"{start}-{number:0{KEY_DIGITS}}" for number in range(1, count + 1)]
    first = store.reserve_numbers(job_id, count)
    return [f"{number:0{KEY_DIGITS}}" for number in range(first, first + count)]


def _added_item(store: JobStore, job_id: str, upload: Upload, result: AddResult, max_items: int) -> AddedItem:
    if result is AddResult.DIFFERS:
        return AddedItem(upload.key, "rejected", Failure("key_conflict", "this key has an item with other bytes"))
    if result is AddResult.FULL:
        return AddedItem(upload.key, "rejected", Failure("job_full", f"the job has {max_items} items, the maximum"))
    if result is AddResult.SAME:
        item = store.item(job_id, upload.key)
        return AddedItem(upload.key, item.state, item.outcome.failure if item.outcome else None)
    return AddedItem(upload.key, ItemState.FAILED if upload.failure else ItemState.PENDING, upload.failure)
