"""From a request's body to a job with items: one request that is a whole job, or items for an open one."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from flask import Request

from shared.access.quotas import QuotaKind
from shared.domain.entities import Failure, ItemState, JobKind, Upload, WebhookTarget, queue_of, valid_key
from shared.domain.errors import (
    Conflict,
    DarkroomError,
    Fault,
    InvalidRequest,
    ItemError,
    NotFound,
    Unavailable,
    UnsupportedMedia,
)
from shared.images.formats import FORMATS
from shared.jobs.chunks import CHUNK_ITEMS
from shared.jobs.store import AddResult
from shared.services import Services
from web.middleware.idempotency import given_key
from web.middleware.rate_limits import charge, most_open_jobs
from web.middleware.request_log import about_job, request_id
from web.schemas.requests import MAX_KEYS_BYTES, MAX_METADATA_BYTES, json_value
from web.uploads.intake import Intake, with_key
from web.uploads.multipart import Part, read_parts
from web.uploads.webhook_param import refuse_in_address, webhook_in_address, webhook_in_part

log = logging.getLogger(__name__)

#: Content types of a raw body that is an archive, and of one that is not said.
ARCHIVE_TYPES = {
    "application/zip",
    "application/x-zip-compressed",
    "application/x-tar",
    "application/gzip",
    "application/x-gzip",
}
UNSAID_TYPE = "application/octet-stream"
#: Items, and bytes of pictures, after which they are added to a job while a big request still comes in: work on them
#: starts at once.
ADD_ITEMS, ADD_BYTES = 256, 8 * 1024 * 1024
#: Digits of the keys that Darkroom gives to items without one of their own.
KEY_DIGITS = 6


@dataclass(frozen=True)
class AddedItem:
    """What became of one item that was sent to an open job."""

    key: str
    state: str
    failure: Failure | None


def submit(services: Services, owner: str, request: Request) -> str:
    """Make a job of a multipart or raw body, sealed and queued, for its owner, and return its id.

    Raises InvalidRequest where nothing of it can be taken, and leaves nothing behind then.
    """
    if request.mimetype == "multipart/form-data":
        check_length(services, request)
        refuse_in_address(request, "a part")
        return _whole_job(services, owner, lambda job_id: _fill_from_parts(services, job_id, request))
    if _is_file(request.mimetype):
        check_length(services, request)
        webhook = webhook_in_address(services, request)
        return _whole_job(services, owner, lambda job_id: _fill_from_body(services, job_id, request), webhook)
    raise UnsupportedMedia(
        f"the content type {request.mimetype or 'none'} is not accepted: send multipart/form-data with parts named "
        "`files`, one picture (image/*), an archive (application/zip) or JSON"
    )


def add_items(services: Services, job_id: str, request: Request) -> list[AddedItem]:
    """Add the files of a multipart body to an open job; a repeat with the same keys changes nothing."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("items are added as multipart/form-data, or one by one with PUT")
    require_open(services, job_id)
    check_length(services, request)
    intake = Intake(services, job_id)
    uploads: list[Upload] = []
    keys: list[str] | None = None
    for name, part in _parts(services, request, fields={"keys"}):
        if name == "keys":
            keys = _keys(part.text(MAX_KEYS_BYTES))
        else:
            uploads += intake.take(part.filename or "", part.chunks)
    if not uploads:
        raise no_files()
    return _add_keyed(services, job_id, _with_keys(services, job_id, uploads, keys))


def put_item(services: Services, job_id: str, key: str, request: Request) -> AddResult:
    """Add one picture under the client's key. Raises ItemError where it cannot be taken: nothing is recorded then."""
    if not valid_key(key):
        raise InvalidRequest("a key is 1 to 128 of A-Za-z0-9._- and not `.` or `..`", [Fault("key", "not a key")])
    if services.store.get(job_id).sealed:
        return _compared(services, job_id, key, request)
    check_length(services, request, services.settings.max_file_bytes)
    intake = Intake(services, job_id, archives=False)
    (upload,) = intake.take(key, _body(request.stream))
    _raise_failure(upload)
    return add(services, job_id, [with_key(upload, key)])[0]


def _compared(services: Services, job_id: str, key: str, request: Request) -> AddResult:
    """Whether a sealed job has these bytes under the key: the answer to an earlier request may have been lost.

    Raises Conflict where it has nothing there.
    """
    try:
        upload = services.store.item(job_id, key).upload
    except NotFound:
        raise sealed(job_id) from None
    digest, size = hashlib.sha256(), 0
    for data in _body(request.stream):
        digest.update(data)
        size += len(data)
        if size > upload.size:
            break
    return AddResult.SAME if digest.hexdigest() == upload.sha256 else AddResult.DIFFERS


def add(services: Services, job_id: str, uploads: list[Upload]) -> list[AddResult]:
    """Record items and wake a worker for them. Raises TooManyRequests where the key has had its items of this hour."""
    charge(QuotaKind.ITEMS, len(uploads))
    answers = services.store.add(job_id, uploads, services.settings.max_items)
    wake(services, job_id, len(uploads))
    return answers


def wake(services: Services, job_id: str, items: int) -> None:
    """Wake workers for so many new items. Where that fails the reconciler does it."""
    with contextlib.suppress(NotFound):
        queue = queue_of(services.store.get(job_id))
        try:
            services.messenger.wake_workers(queue, math.ceil(items / CHUNK_ITEMS))
        except Unavailable:
            log.warning("no worker was woken for job %s; the reconciler will", job_id)


def require_open(services: Services, job_id: str) -> None:
    """Raise NotFound, or Conflict where the job is sealed, before its upload is read."""
    if services.store.get(job_id).sealed:
        raise sealed(job_id)


def sealed(job_id: str) -> Conflict:
    """The error for a job that takes nothing new."""
    return Conflict(f"job {job_id} is sealed: it takes no more items")


def check_length(services: Services, request: Request, most: int | None = None) -> None:
    """Refuse a body that says that it is too long, or that Redis or the disk has no room for, before it is read."""
    length = request.content_length or 0
    services.store.check_memory()
    services.blobs.check_free_space(length)
    if most is not None and length > most:
        raise ItemError("file_too_large", f"the file has {length} bytes; at most {most} are allowed")


def no_files() -> InvalidRequest:
    """The error for a request without a single file."""
    return InvalidRequest("there is no file in the request", [Fault("/files", "at least one file is needed")])


def _whole_job(
    services: Services, owner: str, fill: Callable[[str], None], webhook: WebhookTarget | None = None
) -> str:
    champion = services.registry.champion().version
    job_id = services.store.create(
        JobKind.CLASSIFICATION,
        retention_s=services.settings.retention_hours * 3600,
        request_id=request_id(),
        owner=owner,
        max_unfinished=most_open_jobs(),
        model=champion,
        webhook=webhook,
        listed=False,
    )
    about_job(job_id)
    try:
        fill(job_id)
        services.store.seal(job_id)
    except BaseException:
        _discard(services, job_id)
        raise
    return job_id


def _discard(services: Services, job_id: str) -> None:
    """Remove what a refused request has left. Where that fails now, the reconciler does it."""
    with contextlib.suppress(DarkroomError):
        services.store.remove(job_id, force=True)
        services.delete_bytes(job_id)


def _fill_from_parts(services: Services, job_id: str, request: Request) -> None:
    intake, filler = Intake(services, job_id), _Filler(services, job_id)
    files = 0
    for name, part in _parts(services, request, fields={"metadata", "webhook"}):
        if name == "metadata":
            services.store.set_metadata(job_id, json_value(part.text(MAX_METADATA_BYTES), "the part `metadata`"))
        elif name == "webhook":
            services.store.set_webhook(job_id, webhook_in_part(services, part))
        else:
            files += 1
            filler.extend(intake.take(part.filename or "", part.chunks))
    filler.finish(alone=files == 1)


def _fill_from_body(services: Services, job_id: str, request: Request) -> None:
    intake, filler = Intake(services, job_id), _Filler(services, job_id)
    filler.extend(intake.take(_name_of_body(request), _body(request.stream)))
    filler.finish(alone=True)


class _Filler:
    """Gives keys to uploads and adds them to a job in batches, while the request still comes in."""

    def __init__(self, services: Services, job_id: str) -> None:
        self._services, self._job_id = services, job_id
        self._batch: list[Upload] = []
        self._count, self._bytes = 0, 0

    def extend(self, uploads: Iterable[Upload]) -> None:
        for upload in uploads:
            self._count += 1
            self._bytes += upload.size
            self._batch.append(with_key(upload, f"{self._count:0{KEY_DIGITS}}"))
            full = len(self._batch) >= ADD_ITEMS or self._bytes >= ADD_BYTES
            if full and self._count > 1:  # the first one may be the only one, see `finish`
                self._add()

    def finish(self, *, alone: bool) -> None:
        """Add the rest. Where one single file was sent and cannot be taken, that is the request's error."""
        if not self._count:
            raise no_files()
        if alone and self._count == 1:
            _raise_failure(self._batch[0])
        self._add()

    def _add(self) -> None:
        if self._batch:
            add(self._services, self._job_id, self._batch)
            self._batch, self._bytes = [], 0


def _parts(services: Services, request: Request, fields: set[str]) -> Iterator[tuple[str, Part]]:
    """The parts named `files` and those of `fields`. Raises InvalidRequest for any other."""
    content_type = request.headers.get("Content-Type", "")
    for part in read_parts(request.stream, content_type, services.settings.max_items):
        if part.name == "files" and part.filename is not None:
            if not _is_blank(part):
                yield "files", part
        elif part.name in fields:
            yield part.name, part
        else:
            wanted = ", ".join(sorted(fields | {"files"}))
            kind = "a file" if part.filename is not None else "a field"
            raise InvalidRequest(
                f"the part {part.name!r} ({kind}) is not one of: {wanted}", [Fault(f"/{part.name}", "not expected")]
            )


def _is_blank(part: Part) -> bool:
    """Whether this is what a browser sends for a file input without a file: no name and no bytes."""
    return not part.filename and part.is_empty()


def _keys(content: bytes) -> list[str]:
    keys = json_value(content, "the part `keys`")
    if not isinstance(keys, list) or not all(isinstance(key, str) and valid_key(key) for key in keys):
        detail = "must be a JSON list of keys: 1 to 128 of A-Za-z0-9._- each"
        raise InvalidRequest(f"the part `keys` {detail}", [Fault("/keys", detail)])
    if len(set(keys)) < len(keys):
        raise InvalidRequest("the part `keys` names a key twice", [Fault("/keys", "a key is there twice")])
    return keys


def _with_keys(services: Services, job_id: str, uploads: list[Upload], keys: list[str] | None) -> list[Upload]:
    if keys is None:
        keys = _made_keys(services, job_id, len(uploads))
    if len(keys) != len(uploads):
        detail = f"{len(keys)} keys for {len(uploads)} files; an archive's files cannot have keys"
        raise InvalidRequest(f"the part `keys` does not fit: {detail}", [Fault("/keys", detail)])
    return [with_key(upload, key) for upload, key in zip(uploads, keys, strict=True)]


def _made_keys(services: Services, job_id: str, count: int) -> list[str]:
    """Keys for files that came without; the same ones where a request comes again under its `Idempotency-Key`.

    So nothing is added twice where its first answer was an error after a part of it, or is kept no longer.
    """
    if (request_key := given_key()) is not None:
        start = hashlib.sha256(request_key.encode()).hexdigest()[:16]
        return [f"{start}-{number:0{KEY_DIGITS}}" for number in range(1, count + 1)]
    first = services.store.reserve_numbers(job_id, count)
    return [f"{number:0{KEY_DIGITS}}" for number in range(first, first + count)]


def _add_keyed(services: Services, job_id: str, uploads: list[Upload]) -> list[AddedItem]:
    answers = add(services, job_id, uploads)
    return [_added_item(services, job_id, upload, answer) for upload, answer in zip(uploads, answers, strict=True)]


def _added_item(services: Services, job_id: str, upload: Upload, answer: AddResult) -> AddedItem:
    if answer is AddResult.DIFFERS:
        return AddedItem(upload.key, "rejected", Failure("key_conflict", "other bytes are there under this key"))
    if answer is AddResult.FULL:
        most = services.settings.max_items
        return AddedItem(upload.key, "rejected", Failure("job_full", f"the job has {most} items, its most"))
    if answer is AddResult.SAME:
        item = services.store.item(job_id, upload.key)
        return AddedItem(upload.key, item.state, item.outcome.failure if item.outcome else None)
    return AddedItem(upload.key, ItemState.FAILED if upload.failure else ItemState.PENDING, upload.failure)


def _raise_failure(upload: Upload) -> None:
    if upload.failure is not None:
        raise ItemError(upload.failure.code, upload.failure.detail)


def _is_file(mimetype: str) -> bool:
    return mimetype.startswith("image/") or mimetype in ARCHIVE_TYPES or mimetype == UNSAID_TYPE


def _name_of_body(request: Request) -> str:
    """A raw body has no name of its own: one after its type."""
    ending = next((f.media_type.split("/")[1] for f in FORMATS if f.media_type == request.mimetype), "")
    return f"upload.{ending}" if ending else "upload"


def _body(stream: IO[bytes]) -> Iterator[bytes]:
    while data := stream.read(64 * 1024):
        yield data
