"""Importing models: the web process hands a file over, the reconciler has it looked at, and the answer comes back.

The file waits in the blob store, what is asked for in a list in Redis. An import is named after what it is made of, so
whoever sends the same file again waits for the same answer. Nothing is kept for longer than an hour but the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Literal

from shared.domain.card import ModelCard
from shared.redis import keys
from shared.redis.connection import Client, now_ms, translated
from shared.storage.blobs import BlobStore, storage_errors

#: Bytes of a model file: a network of 100 million weights has 400 MB.
MAX_MODEL_BYTES = 512 * 1024 * 1024
#: Seconds that one import may take, and after which it is not waited for, though others were in front of it.
IMPORT_TIMEOUT_S, PENDING_S = 300, 900
#: Seconds that an answer is kept; one that trying again may change only as long as whoever waits looks for it.
ANSWER_S, FAILURE_S = 3600, 5
#: Seconds after which an upload that nobody took is removed.
UPLOAD_S = 3600
#: Uploads that are removed in one go.
SWEEP_BATCH = 100
#: What the files that Keras writes begin with, and what their names must end in for Keras to read them.
KINDS = {b"PK\x03\x04": ".keras", b"\x89HDF\r\n\x1a\n": ".h5"}

ValueRange = Literal["0-255", "0-1"]


@dataclass(frozen=True)
class ModelImport:
    """A model file to be imported: its digest, its name, and what its sender says of it where they say something."""

    sha256: str
    source: str
    labels: tuple[str, ...] | None = None
    value_range: ValueRange | None = None

    @property
    def id(self) -> str:
        """The same for the same wish: 32 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:32]

    def found_in(self, cards: Iterable[ModelCard]) -> ModelCard | None:
        """The version that came of the same wish before."""
        return next((card for card in cards if self._gave(card)), None)

    def _gave(self, card: ModelCard) -> bool:
        return (
            card.source_sha256 == self.sha256
            and self.labels in (None, card.labels)
            and self.value_range in (None, card.params.get("value_range"))
        )


class Answer(StrEnum):
    """How an import ended: refused is the file's fault, failed is not."""

    IMPORTED = "imported"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """`detail` is the version where the model was imported, else a sentence that says why not."""

    answer: Answer
    detail: str


class Imports:
    """Imports on their way. Every method raises Unavailable where Redis or the storage cannot be reached."""

    def __init__(self, client: Client, blobs: BlobStore) -> None:
        self._redis, self._blobs = client, blobs

    @translated
    def submit(self, wanted: ModelImport, content: IO[bytes]) -> None:
        """Store the file and queue the import; where it is queued or answered already, that one counts."""
        self._redis.zadd(keys.UPLOADS, {wanted.id: now_ms(self._redis) + UPLOAD_S * 1000})
        self._blobs.put(_upload(wanted.id), content)
        if self._redis.set(keys.imported(wanted.id), "", nx=True, ex=PENDING_S):
            self._redis.rpush(keys.IMPORTS, json.dumps(asdict(wanted)))

    @translated
    def outcome(self, import_id: str) -> Outcome | None:
        """How the import ended, None while it has not, or where nothing is known of it."""
        text = self._redis.get(keys.imported(import_id))
        if not text:
            return None
        answer, detail = json.loads(text)
        return Outcome(Answer(answer), detail)

    @translated
    def take(self) -> ModelImport | None:
        """The import that waits longest, which is then the caller's; None where none does."""
        text = self._redis.lpop(keys.IMPORTS)
        if text is None:
            return None
        record = json.loads(text)
        return ModelImport(**record | {"labels": record["labels"] and tuple(record["labels"])})

    def fetch(self, wanted: ModelImport, path: Path) -> None:
        """Write the file to `path`. Raises NotFound."""
        with storage_errors(str(path)), path.open("xb") as file:
            for piece in self._blobs.stream(_upload(wanted.id)):
                file.write(piece)

    @translated
    def finish(self, wanted: ModelImport, outcome: Outcome) -> None:
        """Give the answer to whoever waits, and remove the file."""
        seconds = FAILURE_S if outcome.answer is Answer.FAILED else ANSWER_S
        self._redis.set(keys.imported(wanted.id), json.dumps([outcome.answer, outcome.detail]), ex=seconds)
        self._remove(wanted.id)

    @translated
    def sweep(self) -> None:
        """Remove uploads that were left behind: by a web process that died, or by an importer."""
        for import_id in self._redis.zrangebyscore(keys.UPLOADS, "-inf", now_ms(self._redis), start=0, num=SWEEP_BATCH):
            self._remove(import_id)

    def _remove(self, import_id: str) -> None:
        self._blobs.delete_all(_upload_folder(import_id))
        self._redis.zrem(keys.UPLOADS, import_id)


def file_ending(head: bytes) -> str | None:
    """What the name of a model file with this beginning must end in; None where it is no model file."""
    return next((ending for magic, ending in KINDS.items() if head.startswith(magic)), None)


def _upload_folder(import_id: str) -> str:
    return f"imports/{import_id}"


def _upload(import_id: str) -> str:
    return f"{_upload_folder(import_id)}/model"
