"""The queue of model imports: `web` submits a file, the reconciler has it checked, and `web` reads the result.

The file waits in the blob store, the request in a list in Redis. An import's id is a digest of the request, so equal
requests wait for the same result. Apart from the version, nothing is kept for more than an hour.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

from pydantic import AfterValidator, Field, TypeAdapter

from shared.domain.card import ModelCard
from shared.domain.preprocessing import Preprocessing, Resize
from shared.redis import keys
from shared.redis.connection import Client, due, now_ms, redis_errors
from shared.redis.work_queue import LEASE_S
from shared.storage.blobs import BlobStore, storage_errors

#: Bytes of a model file: a network of 100 million weights has 400 MB.
MAX_MODEL_BYTES = 512 * 1024 * 1024
#: Seconds that one import may take, and seconds until one that waits in the queue is forgotten.
IMPORT_TIMEOUT_S, PENDING_S = 300, 900
#: Seconds that a result is kept. A failure may be temporary, so it is kept only until the waiting request has read it.
RESULT_S, FAILURE_S = 3600, 5
#: Seconds after which an abandoned upload is deleted.
UPLOAD_S = 3600
#: Uploads that one sweep deletes.
SWEEP_BATCH = 100
#: `value_range_basis` on the cards of older versions whose range was a guess. They are not found again.
ASSUMED = "assumed"
#: How model files begin, and their extensions. Keras requires its own to read them; `.keras` stands for any archive.
#: TFLite's mark comes after four bytes. ONNX has none: a file begins with the version of the format, and a next field.
EXTENSIONS = {
    re.compile(rb"PK\x03\x04"): ".keras",
    re.compile(rb"\x89HDF\r\n\x1a\n"): ".h5",
    re.compile(rb"....TFL3", re.DOTALL): ".tflite",
    re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]"): ".onnx",
}
#: What can be imported, for errors.
KINDS = (
    "a .keras, .h5, .onnx or .tflite file, or a zip archive with one of them, with a SavedModel, or with OpenVINO's "
    ".xml and .bin"
)


def _checked(labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(labels) < 2:
        raise ValueError("at least two labels are needed; for one output, the label of 0, then the label of 1")
    if len(set(labels)) < len(labels):
        raise ValueError("a label appears twice")
    return labels


Label = Annotated[str, Field(min_length=1, max_length=64)]
Labels = Annotated[tuple[Label, ...], Field(max_length=1000), AfterValidator(_checked)]


@dataclass(frozen=True)
class ModelImport:
    """A request to import a model file: its digest and name, and optionally its labels and its preprocessing.

    `preprocessing` is only about values, `resize` about the size; what the file says holds where they are None.

    `classifier` is the one that was asked for. If it is None, the version belongs to `cifar10` if its labels are that
    one's, else to `own`, a name of the `owner`'s. Without an owner, every version belongs to `cifar10`.
    """

    sha256: str
    source: str
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    resize: Resize | None = None
    owner: str | None = None
    classifier: str | None = None
    own: str = "imported"

    @property
    def id(self) -> str:
        """Return 32 hexadecimal digits, the same for equal requests."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:32]

    def as_json(self) -> str:
        """Return the request as JSON; `from_json` reads it."""
        return REQUEST.dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> ModelImport:
        """Return the request in the JSON of `as_json`."""
        return REQUEST.validate_json(text)

    def find_existing(self, cards: Iterable[ModelCard]) -> ModelCard | None:
        """Return the card of the version that an earlier request like this one made, or None."""
        return next((card for card in cards if self._made(card)), None)

    def _made(self, card: ModelCard) -> bool:
        return (
            card.source_sha256 == self.sha256
            and self.labels in (None, card.labels)
            and self.preprocessing in (None, card.preprocessing.model_copy(update={"resize": "squash"}))
            and self.resize in (None, card.preprocessing.resize)
            and card.owner in (None, self.owner)
            and self.classifier in (None, card.classifier)
            and card.params.get("value_range_basis") != ASSUMED
        )


REQUEST = TypeAdapter(ModelImport)


class ImportStatus(StrEnum):
    """How an import ended. A refused file is at fault itself; a failed import may succeed later."""

    IMPORTED = "imported"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class ImportResult:
    """`detail` is the version's name if the model was imported, else a sentence that says why not."""

    status: ImportStatus
    detail: str


class ImportQueue:
    """Pending imports and their results. Every method raises Unavailable if Redis or the storage cannot be reached."""

    def __init__(self, client: Client, blobs: BlobStore) -> None:
        self._redis, self._blobs = client, blobs

    @redis_errors()
    def submit(self, wanted: ModelImport, content: IO[bytes]) -> None:
        """Store the file and queue the import, unless it is queued already or has a result."""
        self._redis.zadd(keys.UPLOADS, {wanted.id: now_ms(self._redis) + UPLOAD_S * 1000})
        self._blobs.put(_upload_key(wanted.id), content)
        if self._redis.set(keys.imported(wanted.id), "", nx=True, ex=PENDING_S):
            self._redis.rpush(keys.IMPORTS, wanted.as_json())

    @redis_errors()
    def result(self, import_id: str) -> ImportResult | None:
        """Return the result, or None if the import is pending or unknown."""
        text = self._redis.get(keys.imported(import_id))
        if not text:
            return None
        status, detail = json.loads(text)
        return ImportResult(ImportStatus(status), detail)

    @redis_errors()
    def take(self) -> ModelImport | None:
        """Remove the oldest import from the queue and return it under a lease, or None if the queue is empty."""
        text = self._redis.lpop(keys.IMPORTS)
        if text is None:
            return None
        wanted = ModelImport.from_json(text)
        self.renew(wanted)
        return wanted

    @redis_errors()
    def renew(self, wanted: ModelImport) -> None:
        """Renew the lease of an import that runs. When it expires, the import is lost and can be submitted again."""
        self._redis.expire(keys.imported(wanted.id), LEASE_S)

    def fetch(self, wanted: ModelImport, path: Path) -> None:
        """Write the uploaded file to `path`. Raises NotFound."""
        with storage_errors(str(path)), path.open("xb") as file:
            for piece in self._blobs.stream(_upload_key(wanted.id)):
                file.write(piece)

    @redis_errors()
    def finish(self, wanted: ModelImport, result: ImportResult) -> None:
        """Publish the result and delete the uploaded file."""
        seconds = FAILURE_S if result.status is ImportStatus.FAILED else RESULT_S
        self._redis.set(keys.imported(wanted.id), json.dumps([result.status, result.detail]), ex=seconds)
        self._delete_upload(wanted.id)

    @redis_errors()
    def sweep(self) -> None:
        """Delete uploads that a killed web process or importer left behind."""
        for import_id in due(self._redis, keys.UPLOADS, SWEEP_BATCH):
            self._delete_upload(import_id)

    def _delete_upload(self, import_id: str) -> None:
        self._blobs.delete_all(_upload_folder(import_id))
        self._redis.zrem(keys.UPLOADS, import_id)


def file_extension(head: bytes) -> str | None:
    """Return the extension for a model file that begins with `head`, or None if it is not a model file."""
    return next((extension for signature, extension in EXTENSIONS.items() if signature.match(head)), None)


def _upload_folder(import_id: str) -> str:
    return f"imports/{import_id}"


def _upload_key(import_id: str) -> str:
    return f"{_upload_folder(import_id)}/model"
