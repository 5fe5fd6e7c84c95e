"""A whole Job from one request: its files become Items while the body still arrives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Request

from shared.domain.entities import JobKind, Upload, WebhookTarget, queue_for
from shared.domain.errors import DarkroomError
from shared.services import Services
from web.middleware.rate_limits import most_open_jobs
from web.middleware.request_log import about_job, request_id
from web.schemas.requests import MAX_METADATA_BYTES, json_value
from web.uploads.intake import Intake, raise_failure, with_key
from web.uploads.item_writer import ItemWriter
from web.uploads.multipart import Part
from web.uploads.pin import PIN_FIELDS, choose, choose_in_query, refuse_pin_in_query, text_of, too_late
from web.uploads.request_files import MULTIPART, no_files, read_request
from web.uploads.webhook_param import refuse_in_query, webhook_in_part, webhook_in_query

#: Items, and bytes of pictures, that are added to a Job at a time while a big request still arrives: work on them
#: starts at once.
ADD_ITEMS, ADD_BYTES = 256, 8 * 1024 * 1024
#: Digits of the keys of Items that come without a key.
KEY_DIGITS = 6


def submit(services: Services, owner: str, request: Request, encoding: str | None) -> str:
    """Make a sealed Job of the files in a multipart or raw body, and return its id.

    `encoding` is that of names in archives that are not UTF-8.

    Raise InvalidRequest or ItemError if nothing of the request can be accepted; nothing is left behind then.
    """
    parts = read_request(request, {"metadata", "webhook", *PIN_FIELDS}, services.settings.max_items)
    pin = choose_in_query(services, request)
    webhook = None
    if request.mimetype == MULTIPART:
        refuse_in_query(request, "a part")
    else:
        webhook = webhook_in_query(request, services.resolver)
    services.blobs.check_free_space(request.content_length or 0)
    with new_job(
        services, JobKind.CLASSIFICATION, owner, webhook, classifier=pin.classifier.name, model=pin.version
    ) as job_id:
        intake = Intake(services.blobs, services.settings, job_id, encoding=encoding)
        batches = _Batches(services, job_id, intake)
        named, files = dict[str, str](), 0
        for part in parts:
            if part.name == "metadata":
                metadata = json_value(part.text(MAX_METADATA_BYTES), "the part `metadata`")
                services.store.set_metadata(job_id, metadata)
            elif part.name == "webhook":
                services.store.set_webhook(job_id, webhook_in_part(part, services.resolver))
            elif part.name in PIN_FIELDS:
                if files:
                    raise too_late(part.name)
                named[part.name] = text_of(part)
                refuse_pin_in_query(request, "it is named in a part, too")
            else:
                if named and not files:
                    pin = choose(services, named, "/")
                    services.store.pin(job_id, pin.classifier.name, pin.version)
                files += 1
                batches.take(part)
        batches.finish(alone=files == 1)
    return job_id


@contextmanager
def new_job(
    services: Services, kind: JobKind, owner: str, webhook: WebhookTarget | None, **fields: Any
) -> Iterator[str]:
    """Make a Job with these `fields` for the block to fill and seal; remove it if the block fails."""
    job_id = services.store.create(
        kind,
        retention_s=services.settings.retention_hours * 3600,
        request_id=request_id(),
        owner=owner,
        max_unfinished=most_open_jobs(),
        webhook=webhook,
        listed=False,
        **fields,
    )
    about_job(job_id)
    try:
        yield job_id
    except BaseException:
        with contextlib.suppress(DarkroomError):  # what cannot be removed now, the reconciler removes
            services.store.remove(job_id, force=True)
            services.delete_bytes(job_id)
        raise


class _Batches:
    """Gives keys to uploads and adds them to a Job in batches."""

    def __init__(self, services: Services, job_id: str, intake: Intake) -> None:
        self._store, self._intake = services.store, intake
        self._writer = ItemWriter.of(services, job_id, intake)
        self._batch: list[Upload] = []
        self._count, self._bytes = 0, 0

    def take(self, file: Part) -> None:
        for upload in self._intake.take(file.filename or "", file.chunks):
            self._count += 1
            self._bytes += upload.size
            self._batch.append(with_key(upload, f"{self._count:0{KEY_DIGITS}}"))
            full = len(self._batch) >= ADD_ITEMS or self._bytes >= ADD_BYTES
            if full and self._count > 1:  # the first one may be the only one, see `finish`
                self._store.check_memory()
                self._add()

    def finish(self, *, alone: bool) -> None:
        """Add the rest and seal the Job. If the request is a single file that cannot be accepted, raise its error."""
        if not self._count:
            raise no_files(len(self._intake.skipped))
        if alone and self._count == 1:
            raise_failure(self._batch[0])
        self._writer.skip()
        self._writer.add_last(self._batch, queue_for(JobKind.CLASSIFICATION, self._count))

    def _add(self) -> None:
        self._writer.add(self._batch)
        self._batch, self._bytes = [], 0
