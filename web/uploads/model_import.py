"""`POST /v1/models`: take a model file in, have it looked at by the importer, and wait for its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Annotated, Any

from flask import Request
from pydantic import BaseModel, Field, field_validator

from shared.domain.card import ModelCard
from shared.domain.errors import Fault, InvalidRequest, TooLarge, Unavailable, UnsupportedMedia
from shared.models.import_queue import (
    MAX_MODEL_BYTES,
    ImportResult,
    ImportStatus,
    ModelImport,
    ValueRange,
    file_extension,
)
from shared.services import Services
from web.schemas.requests import checked, json_value
from web.uploads.intake import clean_filename
from web.uploads.multipart import Part, read_parts
from web.uploads.spool import Spooled, spool

#: Seconds that a request waits for the importer, under the minute of many clients and proxies; and between two looks.
WAIT_S, LOOK_S = 55.0, 0.2
#: Bytes of the parts beside the file, and of what multipart puts around all of them.
MAX_LABEL_BYTES, MAX_TEXT_BYTES, OVERHEAD_BYTES = 256 * 1024, 4096, 1024 * 1024

Label = Annotated[str, Field(min_length=1, max_length=64)]


class ImportForm(BaseModel):
    """The parts beside the file."""

    labels: Annotated[tuple[Label, ...], Field(min_length=2, max_length=1000)] | None = None
    value_range: ValueRange | None = None
    name: str | None = None

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels and len(set(labels)) < len(labels):
            raise ValueError("a label is there twice")
        return labels


@dataclass(frozen=True)
class Sent:
    """What a request brought."""

    file: Spooled
    filename: str
    fields: dict[str, Any]


class ImportService:
    """Takes imports in, as many at a time as this process can wait for."""

    def __init__(self, services: Services, slots: BoundedSemaphore) -> None:
        """`slots` are the requests of this process that may wait for an import at a time."""
        self._services, self._slots = services, slots

    def take(self, request: Request) -> tuple[ModelCard, bool]:
        """Import the model in the request; its card, and whether it is new.

        Raises InvalidRequest where it is refused, TooLarge, and Unavailable where no importer answers in time.
        """
        if not self._slots.acquire(blocking=False):
            raise Unavailable("other models are being imported: send this one again in a moment")
        try:
            return self._import(_read(self._services, request))
        finally:
            self._slots.release()

    def _import(self, sent: Sent) -> tuple[ModelCard, bool]:
        with sent.file:
            wanted = _wanted(sent)
            card = wanted.find_existing(self._services.registry.versions())
            if card is not None:
                return card, False
            outcome = self._services.imports.result(wanted.id)
            if outcome is None:
                self._services.imports.submit(wanted, sent.file.content)
        return self._imported(outcome or self._wait(wanted.id)), True

    def _imported(self, outcome: ImportResult) -> ModelCard:
        if outcome.status is ImportStatus.REFUSED:
            raise InvalidRequest(f"the model is refused: {outcome.detail}", [Fault("/file", outcome.detail)])
        if outcome.status is ImportStatus.FAILED:
            raise Unavailable(f"the model could not be imported now: {outcome.detail}")
        return self._services.registry.card(outcome.detail)

    def _wait(self, import_id: str) -> ImportResult:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            outcome = self._services.imports.result(import_id)
            if outcome is not None:
                return outcome
            time.sleep(LOOK_S)
        raise Unavailable(f"no importer has answered within {WAIT_S:g} s: send the same file again later")


def _read(services: Services, request: Request) -> Sent:
    """The parts of the request. Raises InvalidRequest for parts that are wrong, TooLarge."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("a model is sent as multipart/form-data, with a part named `file`")
    length = request.content_length or 0
    services.blobs.check_free_space(length)
    if length > MAX_MODEL_BYTES + OVERHEAD_BYTES:
        raise too_large()
    fields: dict[str, Any] = {}
    with ExitStack() as opened:
        sent = None
        for part in read_parts(request.stream, request.headers.get("Content-Type", ""), max_files=1):
            if part.name == "file" and part.filename is not None and sent is None:
                file = opened.enter_context(_spooled(services, part))
                sent = Sent(file, clean_filename(part.filename), fields)
            else:
                fields[part.name] = _field(part, fields)
        if sent is None or not sent.file.size:
            raise InvalidRequest("there is no model in the request", [Fault("/file", "a .keras or .h5 file is needed")])
        opened.pop_all()
    return sent


def _spooled(services: Services, part: Part) -> Spooled:
    file = spool(part.chunks, MAX_MODEL_BYTES, MAX_MODEL_BYTES, services.blobs.temporary_folder)
    if file.too_long:
        file.content.close()
        raise too_large()
    return file


def _field(part: Part, others: Mapping[str, Any]) -> Any:
    if part.name not in ImportForm.model_fields or part.name in others:
        raise InvalidRequest(f"the part {part.name!r} is not expected here", [Fault(f"/{part.name}", "not expected")])
    if part.name == "labels":
        return json_value(part.text(MAX_LABEL_BYTES), "the part `labels`")
    return part.text(MAX_TEXT_BYTES).decode(errors="replace").strip()


def _wanted(sent: Sent) -> ModelImport:
    """The wish, checked. Raises InvalidRequest."""
    wish = checked(ImportForm, sent.fields, "/")
    if file_extension(sent.file.content.read(8)) is None:
        detail = "this is neither a .keras nor a .h5 file"
        raise InvalidRequest(f"the model is refused: {detail}", [Fault("/file", detail)])
    sent.file.content.seek(0)
    return ModelImport(sent.file.sha256, clean_filename(wish.name or sent.filename), wish.labels, wish.value_range)


def too_large() -> TooLarge:
    """The error for a model over the limit."""
    return TooLarge(f"a model may have {MAX_MODEL_BYTES} bytes at most")
