"""Exports of model versions: zips for other programs, made on demand by the reconciler and kept with the version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shared.models.versions import PREFIX
from shared.redis import keys
from shared.redis.connection import Client, redis_errors
from shared.redis.work_queue import WorkQueue
from shared.storage.blobs import BlobStore

#: Number that changes when the contents of the zips do, so that none of before is sent.
REVISION = 1
#: Seconds that a refusal is kept. A failure may be temporary, so it is kept only until those who wait have read it.
REFUSAL_S, FAILURE_S = 3600, 10


class ExportFormat(StrEnum):
    """What a version can be exported as."""

    ONNX = "onnx"
    LITERT = "litert"
    OPENVINO = "openvino"
    KERAS = "keras"


@dataclass(frozen=True)
class Export:
    """A version in a format."""

    version: str
    format: ExportFormat

    @property
    def id(self) -> str:
        """Return its name in the queue."""
        return f"{self.version}/{self.format}"

    @classmethod
    def from_id(cls, text: str) -> Export:
        """Return the export of this name."""
        version, _, kind = text.partition("/")
        return cls(version, ExportFormat(kind))

    @property
    def blob(self) -> str:
        """Return the key of the zip. It goes when the version's blobs do."""
        return f"{PREFIX}/{self.version}/export-{REVISION}-{self.format}.zip"


@dataclass(frozen=True)
class ExportProblem:
    """Why there is no zip. It is `final` if another try would not help."""

    detail: str
    final: bool


class Exports:
    """The zips, and those that are waited for. Every method raises Unavailable."""

    def __init__(self, client: Client, blobs: BlobStore) -> None:
        self._redis, self._blobs = client, blobs
        #: The exports that are waited for, by id.
        self.queue = WorkQueue(client, keys.EXPORTS)

    def exists(self, export: Export) -> bool:
        """Return whether the zip is there."""
        return self._blobs.exists(export.blob)

    def stream(self, export: Export) -> Iterator[bytes]:
        """Return the zip in pieces. Raises NotFound."""
        return self._blobs.stream(export.blob)

    @redis_errors()
    def problem(self, export: Export) -> ExportProblem | None:
        """Return why there is no zip, or None if nobody has tried, or the reason was temporary and some time ago."""
        text = self._redis.get(keys.exported(export.id))
        return ExportProblem(*json.loads(text)) if text else None

    def store(self, export: Export, file: Path) -> None:
        """Keep the zip, and end the work. Raises StorageFull."""
        with file.open("rb") as content:
            self._blobs.put(export.blob, content)
        self.queue.finish(export.id)

    @redis_errors()
    def fail(self, export: Export, problem: ExportProblem) -> None:
        """Say why there is no zip, and end the work."""
        seconds = REFUSAL_S if problem.final else FAILURE_S
        self._redis.set(keys.exported(export.id), json.dumps([problem.detail, problem.final]), ex=seconds)
        self.queue.finish(export.id)
