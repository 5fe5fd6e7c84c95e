"""`POST /v1/models`: store a model file, queue its import, and wait for the result."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from threading import BoundedSemaphore
from typing import Annotated, Any

from flask import Request
from pydantic import BaseModel, BeforeValidator, Field, field_validator

from shared.datasets.names import NAME_PATTERN, RESERVED
from shared.datasets.store import DatasetStore
from shared.domain.card import ModelCard
from shared.domain.classifier import EVERYDAY
from shared.domain.errors import (
    Fault,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from shared.domain.preprocessing import PREPROCESSINGS, Channels, PerChannel, Preprocessing, Resize, ValueRange, spelled
from shared.domain.sizes import readable_bytes
from shared.models.import_queue import (
    KINDS,
    MAX_MODEL_BYTES,
    ImportQueue,
    ImportResult,
    ImportStatus,
    Labels,
    ModelImport,
    file_extension,
)
from shared.models.registry import Registry
from shared.storage.blobs import BlobStore
from web.schemas.requests import checked, json_value
from web.uploads.intake import clean_filename
from web.uploads.multipart import Part, read_parts
from web.uploads.request_files import no_file_name
from web.uploads.spool import Spooled, spool

#: Seconds that a request waits for the importer, under the minute of many clients and proxies; and between two polls.
WAIT_S, POLL_S = 55.0, 0.2
#: Bytes of the parts beside the file, and of what multipart puts around all of them.
MAX_LABEL_BYTES, MAX_TEXT_BYTES, OVERHEAD_BYTES = 256 * 1024, 4096, 1024 * 1024
#: Characters of a model's name in the name of its Classifier.
MAX_STEM = 50


class ImportForm(BaseModel):
    """The parts beside the file."""

    labels: Labels | None = None
    value_range: Annotated[ValueRange, BeforeValidator(spelled)] | None = None
    scale: PerChannel | None = None
    offset: PerChannel | None = None
    channels: Channels | None = None
    resize: Resize | None = None
    name: str | None = None
    classifier: Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$")] | None = None

    @field_validator("classifier")
    @classmethod
    def _is_not_everyday(cls, name: str | None) -> str | None:
        if name == EVERYDAY.name:
            raise ValueError(f"{name} ships with Darkroom: choose another name")
        return name

    @property
    def preprocessing(self) -> Preprocessing | None:
        """Return what the client says about the pixels, None if it says nothing. Raises InvalidRequest."""
        own = {name: value for name in ("scale", "offset", "channels") if (value := getattr(self, name)) is not None}
        if own and self.value_range is not None:
            detail = "send either `value_range`, or `scale`, `offset` and `channels`"
            raise InvalidRequest(detail, [Fault("/value_range", detail)])
        if own:
            return Preprocessing(**own)
        return PREPROCESSINGS[self.value_range] if self.value_range else None


@dataclass(frozen=True)
class UploadedModel:
    """The file of a request, and the fields beside it, not validated yet."""

    file: Spooled
    filename: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class ImportService:
    """Imports models, as many at a time as there are `slots` for waiting requests in this process."""

    registry: Registry
    datasets: DatasetStore
    queue: ImportQueue
    blobs: BlobStore
    slots: BoundedSemaphore

    def import_model(self, request: Request, owner: str) -> tuple[ModelCard, bool]:
        """Import the model in the request for an owner; return its card, and whether it is new.

        Raise InvalidRequest if it is refused, UnsupportedMedia, TooLarge, and Unavailable if no importer answers in
        time.
        """
        if not self.slots.acquire(blocking=False):
            raise Unavailable("other models are being imported: send this one again in a moment")
        try:
            return self._import(_read(self.blobs, request), owner)
        finally:
            self.slots.release()

    def _import(self, uploaded: UploadedModel, owner: str) -> tuple[ModelCard, bool]:
        with uploaded.file:
            wanted = _validate(uploaded, owner)
            card = wanted.find_existing(self.registry.versions())
            if card is not None:
                self._serve(card)
                return card, False
            wanted = replace(wanted, own=self._own_classifier(wanted))
            result = self.queue.result(wanted.id)
            if result is None:
                self.queue.submit(wanted, uploaded.file.content)
        return self._card(result or self._wait(wanted.id)), True

    def _serve(self, card: ModelCard) -> None:
        """Make a version the champion of its Classifier if that has none: its import may have been killed."""
        if card.owner is not None and self.registry.find_alias(card.belongs_to) is None:
            with suppress(PreconditionFailed):  # it has one now
                self.registry.promote(card.version, 0)

    def _own_classifier(self, wanted: ModelImport) -> str:
        """Return a name for a new Classifier, from the name of the model: the same for the same file."""
        stem = re.sub("[^a-z0-9]+", "-", PurePosixPath(wanted.source).stem.lower())[:MAX_STEM].strip("-")
        name = stem or ModelImport.own
        return f"{name}-{wanted.sha256[:4]}" if self._is_taken(name, wanted.owner or "") else name

    def _is_taken(self, name: str, owner: str) -> bool:
        """Return whether a Classifier has the name, or will have it: a Dataset's is called as the Dataset."""
        try:
            self.datasets.find(owner, name)
        except NotFound:
            return name in RESERVED or name in {each.name for each in self.registry.classifiers(owner)}
        return True

    def _card(self, result: ImportResult) -> ModelCard:
        if result.status is ImportStatus.REFUSED:
            field, _, detail = result.detail.partition(": ")
            fault = Fault(f"/{field}", detail) if field in ImportForm.model_fields else Fault("/file", result.detail)
            raise InvalidRequest(f"the model is refused: {result.detail}", [fault])
        if result.status is ImportStatus.FAILED:
            raise Unavailable(f"the import failed: {result.detail}")
        return self.registry.card(result.detail)

    def _wait(self, import_id: str) -> ImportResult:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            result = self.queue.result(import_id)
            if result is not None:
                return result
            time.sleep(POLL_S)
        raise Unavailable(f"no importer answered within {WAIT_S:g} s: send the same file again later")


def _read(blobs: BlobStore, request: Request) -> UploadedModel:
    """Read the parts of the request. Raise InvalidRequest for an unexpected part, UnsupportedMedia, TooLarge."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("send a model as multipart/form-data, with a part named `file`")
    length = request.content_length or 0
    blobs.check_free_space(length)
    if length > MAX_MODEL_BYTES + OVERHEAD_BYTES:
        raise _too_large()
    fields: dict[str, Any] = {}
    with ExitStack() as opened:
        uploaded = None
        for part in read_parts(request.stream, request.headers.get("Content-Type", ""), max_files=1):
            if part.name == "file" and part.filename is not None and uploaded is None:
                file = opened.enter_context(_spooled(blobs, part))
                uploaded = UploadedModel(file, clean_filename(part.filename), fields)
            else:
                fields[part.name] = _field(part, fields)
        if uploaded is None or not uploaded.file.size:
            raise InvalidRequest("the request has no model", [Fault("/file", f"send {KINDS}")])
        opened.pop_all()
    return uploaded


def _spooled(blobs: BlobStore, part: Part) -> Spooled:
    file = spool(part.chunks, MAX_MODEL_BYTES, MAX_MODEL_BYTES, blobs.temporary_folder)
    if file.too_long:
        file.content.close()
        raise _too_large()
    return file


def _field(part: Part, others: Mapping[str, Any]) -> Any:
    if part.name == "file" and part.filename is None:
        raise no_file_name(part.name, "model.keras")
    if part.name not in ImportForm.model_fields or part.name in others:
        raise InvalidRequest(f"the part {part.name!r} is not expected", [Fault(f"/{part.name}", "not expected")])
    if part.name in ("labels", "scale", "offset"):
        return json_value(part.text(MAX_LABEL_BYTES), f"the part `{part.name}`")
    return part.text(MAX_TEXT_BYTES).decode(errors="replace").strip()


def _validate(uploaded: UploadedModel, owner: str) -> ModelImport:
    """Return the import that the request asks for. Raise InvalidRequest."""
    form = checked(ImportForm, uploaded.fields, "/")
    if file_extension(uploaded.file.content.read(8)) is None:
        detail = f"this is not {KINDS}"
        raise InvalidRequest(f"the model is refused: {detail}", [Fault("/file", detail)])
    uploaded.file.content.seek(0)
    name = clean_filename(form.name or uploaded.filename)
    return ModelImport(
        uploaded.file.sha256,
        name,
        form.labels,
        form.preprocessing,
        resize=form.resize,
        owner=owner,
        classifier=form.classifier,
    )


def _too_large() -> TooLarge:
    return TooLarge(f"the model is too large: at most {readable_bytes(MAX_MODEL_BYTES)} are allowed")
